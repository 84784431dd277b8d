"""Parquet parts made of closed segments, and how much of them stays.

    <root>/served/<service>/segments/<stem>.segment    as long as it is written
    <root>/served/<service>/parts/<stem>.parquet       the same rows; once it is there it counts
    <root>/served/<service>/losses.jsonl               what was dropped, cut off or removed, and why

A part has its segment's stem: where both are there, a process died between the rename of the part
and the removal of the segment, and the segment does not count.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from components.served_log.segment import SUFFIX, is_orphan, read_frames

_YOUNG_S = 60.0


@dataclass(frozen=True)
class LogFolder:
    """The files of one service."""

    path: Path

    @property
    def segments(self) -> Path:
        return self.path / "segments"

    @property
    def parts(self) -> Path:
        return self.path / "parts"

    def make(self) -> None:
        """Makes the folders."""
        self.segments.mkdir(parents=True, exist_ok=True)
        self.parts.mkdir(exist_ok=True)

    def lose(self, why: str, **amount: int) -> None:
        """Writes a loss down; one write to a file that others append to as well.

        Args:
          why: In words.
          amount: `rows=` or `bytes=`.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "why": why, **amount}, sort_keys=True)
        descriptor = os.open(self.path / "losses.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)

    def compact(self, segment: Path) -> None:
        """Makes the part of a segment that nobody writes any more, and removes the segment."""
        part = self.parts / f"{segment.stem}.parquet"
        if not part.exists():
            frames = read_frames(segment)
            if frames.left:
                self.lose("a process died while it wrote", bytes=frames.left)
            if frames.rows is not None:
                _write_synced(part, frames.rows.sort("time"))
        segment.unlink(missing_ok=True)

    def adopt(self) -> None:
        """Compacts the segments of processes that were killed."""
        with self._alone() as alone:
            if not alone:
                return
            for staged in self.parts.glob(".*.tmp"):
                if time.time() - staged.stat().st_mtime > _YOUNG_S:
                    staged.unlink(missing_ok=True)
            for hidden in self.segments.glob(f".*{SUFFIX}"):  # killed before it was renamed: empty
                old = time.time() - hidden.stat().st_mtime > _YOUNG_S
                if old and is_orphan(hidden):
                    hidden.unlink(missing_ok=True)
            for segment in sorted(self.segments.glob(f"*{SUFFIX}")):
                if is_orphan(segment):
                    self.compact(segment)

    def prune(self, max_bytes: int) -> None:
        """Removes the oldest parts until the rest is not larger than that, and writes it down."""
        import pyarrow.parquet as pq

        with self._alone() as alone:
            parts = sorted(self.parts.glob("*.parquet")) if alone else []
            sizes = [part.stat().st_size for part in parts]
            excess = sum(sizes) - max_bytes
            for part, size in zip(parts[:-1], sizes, strict=False):
                if excess <= 0:
                    return
                rows = pq.read_metadata(part).num_rows
                part.unlink()
                self.lose(f"{part.name} was removed: the log has its largest size", rows=rows)
                excess -= size

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process tidies up just now; the kernel ends the lock of a dead one."""
        with (self.path / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _write_synced(path: Path, rows: pl.DataFrame) -> None:
    """Has the part on the disk before its segment goes; it appears whole or not at all."""
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with staged.open("wb") as file:
        rows.write_parquet(file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
