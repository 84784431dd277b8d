"""Reads files of JSON lines that grow: whole lines only, from where the last read ended."""

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.errors import BeamfleetError
from components.features.source import JsonLines, Source

MOST_BYTES = 8 << 20
"""Of a block, and so of a line."""


@dataclass(frozen=True)
class Block:
    """Some lines of one file that follow each other."""

    file: str
    start: int
    """Byte of the first line."""
    lines: tuple[bytes, ...]
    """Without their ends."""

    @property
    def end(self) -> int:
        """Byte behind the last line."""
        return self.start + sum(len(line) + 1 for line in self.lines)

    def places(self) -> Iterator[tuple[int, bytes]]:
        """The byte at which each line begins, and the line."""
        at = self.start
        for line in self.lines:
            yield at, line
            at += len(line) + 1


def next_block(source: Source, positions: Mapping[str, int], most_lines: int) -> Block | None:
    """The next lines that are there, in the order of the names of files; None: nothing new.

    A line without its end is left for later: it is still being written.

    Args:
      source: Whose `stream` is JsonLines.
      positions: File -> bytes of it that have been read.
      most_lines: Of a block.

    Raises:
      BeamfleetError: a file is shorter than it was, was replaced, or has a line that never ends.
    """
    for file in _files(source):
        start = positions.get(str(file), 0)
        size = file.stat().st_size
        if size < start:
            raise BeamfleetError(
                f"source {source.name!r}: {file} has {size:,} bytes, {start:,} have been read of "
                "it; files of a stream only grow, so write what is new to a new file"
            )
        if size > start and (block := _block(source, file, start, most_lines)) is not None:
            return block
    return None


def unread_bytes(source: Source, positions: Mapping[str, int]) -> int:
    """Bytes that have not been read: at the end of a stream, of lines without their end."""
    return sum(file.stat().st_size - positions.get(str(file), 0) for file in _files(source))


def _files(source: Source) -> list[Path]:
    if not isinstance(source.stream, JsonLines):
        raise BeamfleetError(
            f"source {source.name!r} has {source.stream!r} as its stream, expected JsonLines(path) "
            "(of Kafka, run StreamFeatures with kafka_rows on a Beam runner)"
        )
    path = Path(source.stream.path)
    found = path.rglob("*") if path.is_dir() else map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207
    return sorted(file for file in found if file.is_file() and file.name[:1] not in "._")


def _block(source: Source, file: Path, start: int, most_lines: int) -> Block | None:
    with file.open("rb") as opened:
        opened.seek(max(start - 1, 0))
        before = opened.read(1) if start else b"\n"
        content = opened.read(MOST_BYTES)
    if before != b"\n":
        raise BeamfleetError(
            f"source {source.name!r}: byte {start - 1:,} of {file} is no longer the end of a line; "
            "the file was replaced, so give the new one another name"
        )
    whole, newline, rest = content.rpartition(b"\n")
    if not newline and len(rest) == MOST_BYTES:
        raise BeamfleetError(
            f"source {source.name!r}: the line of {file} at byte {start:,} is longer than "
            f"{MOST_BYTES:,} bytes; expected one JSON object a line"
        )
    return Block(str(file), start, tuple(whole.split(b"\n")[:most_lines])) if newline else None
