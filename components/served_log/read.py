"""The reading side."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from components.errors import BeamfleetError
from components.served_log.columns import FIXED
from components.served_log.parts import LogFolder
from components.served_log.segment import SUFFIX, read_frames


def read_served(
    root: str | Path, start: datetime, end: datetime, service: str | None = None
) -> pl.LazyFrame:
    """The rows that were served in [start, end), each once, also those of a moment ago.

    Args:
      root: Of the feature store.
      start: With a time zone, as `end`.
      end: Exclusive.
      service: Its name; None: of all services, with the columns of all.

    Returns:
      The columns of `columns.log_schema`, in no order; without rows at least the fixed ones.

    Raises:
      BeamfleetError: a time without a zone, or no log of that service.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise BeamfleetError(f"{start} to {end}: expected times with a zone, such as {_EXAMPLE}")
    folders = _folders(Path(root), service)
    frames = [frame for folder in folders for frame in _frames(folder)]
    whole = pl.concat([pl.LazyFrame(schema=dict(FIXED)), *frames], how="diagonal_relaxed")
    return whole.filter(pl.col("time") >= start, pl.col("time") < end)


def read_losses(root: str | Path, service: str) -> pl.DataFrame:
    """What is not in the log, and why: time, why, rows (or null), bytes (or null).

    Rows that a killed process had not written yet are known to nobody, and not in it.
    """
    schema = {"time": pl.String, "why": pl.String, "rows": pl.Int64, "bytes": pl.Int64}
    path = Path(root, "served", service, "losses.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = pl.DataFrame([loss for line in lines if (loss := _read(line))], schema=schema)
    return found.with_columns(pl.col("time").str.to_datetime(time_unit="us", time_zone="UTC"))


def _frames(folder: LogFolder) -> Iterator[pl.LazyFrame]:
    """Segments first: one that becomes a part meanwhile is found among the parts."""
    seen = set()
    for path in sorted(folder.segments.glob(f"*{SUFFIX}")):
        try:
            rows = read_frames(path).rows
        except FileNotFoundError:
            continue
        seen.add(path.stem)
        if rows is not None:
            yield rows.lazy()
    by_schema: dict[tuple[tuple[str, pl.DataType], ...], list[Path]] = {}
    for part in sorted(folder.parts.glob("*.parquet")):
        if part.stem not in seen:
            by_schema.setdefault(tuple(pl.read_parquet_schema(part).items()), []).append(part)
    for parts in by_schema.values():
        yield pl.scan_parquet(parts, glob=False)


def _folders(root: Path, service: str | None) -> list[LogFolder]:
    served = root / "served"
    there = sorted(p.parent.name for p in served.glob("*/segments"))
    if service is None:
        return [LogFolder(served / name) for name in there]
    if service not in there:
        raise BeamfleetError(
            f"{root} has no log of service {service!r}; it has those of "
            f"{', '.join(there) or '(none)'}: serve it first"
        )
    return [LogFolder(served / service)]


def _read(line: str) -> dict[str, object]:
    try:
        loss = json.loads(line)
    except ValueError:  # cut off by a power cut
        return {}
    return loss if isinstance(loss, dict) and "time" in loss else {}


_EXAMPLE = datetime(2024, 5, 1, 12, tzinfo=UTC).isoformat()
