"""The same backfill on any Beam runner.

Elements are Arrow: a hash shard of a batch of events, as bytes. No event is an element of its own.
"""

import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import polars as pl

from components.feature_backfill.backfill import (
    BackfillReport,
    Check,
    counts_of,
    made_once,
    shards_for,
)
from components.feature_backfill.event_files import EventWriter, grouped
from components.feature_backfill.keyed_piece import (
    REJECTS,
    PieceCounts,
    collect_rejects,
    keyed_batches,
)
from components.feature_backfill.shard_log import ShardLog, whole_shard
from components.feature_backfill.shards import shards_of
from components.feature_backfill.source_files import BATCH_ROWS, Piece, pieces_of
from components.features.view import FeatureView
from components.files import write_json

Shard = tuple[int, bytes]
"""Number of the shard, and Arrow IPC bytes of some of its events."""
Grouped = tuple[int, Iterable[bytes]]


class ChangeLog(beam.PTransform):
    """From Arrow IPC bytes of keyed events to Arrow IPC bytes of the change log.

    Each element of the result has all rows of its keys, or follows those that have the earlier.

    Example:
        log = events | ChangeLog(card_spend, shards=64)
    """

    def __init__(self, view: FeatureView, shards: int) -> None:
        super().__init__()
        self._view, self._shards = view, shards

    def expand(self, events: Any) -> Any:
        """PCollection[bytes] -> PCollection[bytes]."""
        spread = events | "Shard" >> beam.FlatMap(_spread, list(self._view.keys), self._shards)
        return spread | "Group" >> beam.GroupByKey() | "Sweep" >> beam.FlatMap(_swept, self._view)


def backfill_on_beam(
    view: FeatureView,
    root: Path,
    pipeline: Callable[[], beam.Pipeline],
    *,
    as_of: datetime | None = None,
    check: Check | None = None,
) -> BackfillReport:
    """`backfill` by a Beam pipeline; what it writes is the same for readers.

    Args:
      view: See `backfill`; as_of, check, too.
      root: Folder of the store: all workers reach it and the sources by the same path.
      pipeline: Makes an empty pipeline.

    Raises:
      BeamfleetError: see `backfill`.
    """

    def made(generation: Path, at: datetime | None) -> dict[str, Any]:
        pieces = pieces_of(view.sources)
        shards = shards_for(pieces)
        with tempfile.TemporaryDirectory(dir=generation) as counts:
            with pipeline() as begun:
                _build(begun, view, generation, Path(counts), pieces, at, shards)
            return {
                "shards": shards,
                "counts": _counted(view, generation, Path(counts), len(pieces), shards),
            }

    return made_once(view, root, as_of, made, check, "beam")


def _build(
    begun: Any,
    view: FeatureView,
    generation: Path,
    counts: Path,
    pieces: list[Piece],
    as_of: datetime | None,
    shards: int,
) -> None:
    named = [(f"piece-{place:05}", piece) for place, piece in enumerate(pieces)]
    _ = (
        begun
        | "Pieces" >> beam.Create(named)
        | "SpreadPieces" >> beam.Reshuffle()
        | "ReadPieces" >> beam.FlatMap(_read, view, as_of, shards, generation, counts)
        | "GroupShards" >> beam.GroupByKey()
        | "WriteShards" >> beam.Map(_written, view, generation, shards)
    )


def _read(
    named: tuple[str, Piece],
    view: FeatureView,
    as_of: datetime | None,
    shards: int,
    generation: Path,
    counts: Path,
) -> Iterator[Shard]:
    """Events of a piece; its counts and rejects go to files, so that a repeated try adds none."""
    name, piece = named
    keys, summed, rejects = list(view.keys), Counter[str](), [pl.DataFrame(schema=REJECTS)]
    for batch in keyed_batches(view, piece, as_of):
        summed += batch.counts
        rejects.append(batch.rejects)
        if batch.events.height:
            yield from _shards(batch.events, keys, shards)
    pl.concat(rejects).write_parquet(generation / "events" / f"{name}.rejects")
    write_json(str(counts / f"{name}.json"), asdict(PieceCounts.of(summed, [])))


def _spread(events: bytes, keys: list[str], shards: int) -> Iterator[Shard]:
    yield from _shards(pl.read_ipc_stream(io.BytesIO(events)), keys, shards)


def _shards(events: pl.DataFrame, keys: list[str], shards: int) -> Iterator[Shard]:
    ordered, starts = grouped(events, shards_of(events.select(keys), shards), shards)
    for shard, (start, end) in enumerate(pairwise(starts.tolist())):
        if end > start:
            yield shard, as_bytes(ordered[start:end])


def as_bytes(frame: pl.DataFrame) -> bytes:
    """An Arrow IPC stream."""
    stream = io.BytesIO()
    frame.write_ipc_stream(stream, compression="lz4")
    return stream.getvalue()


def _swept(grouped_parts: Grouped, view: FeatureView) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        events, log = Path(folder, "events"), Path(folder, "log")
        events.mkdir()
        log.mkdir()
        rows = _to_files(grouped_parts[1], events, 0, 1)
        ShardLog(view, log).write(events, 0, 1, rows)
        for part in sorted(log.glob("part-*.parquet")):
            yield as_bytes(pl.read_parquet(part))


def _written(grouped_parts: Grouped, view: FeatureView, generation: Path, shards: int) -> int:
    """Sweeps a shard into the generation, and keeps its events there; a second try does nothing."""
    shard, parts = grouped_parts
    name = f"shard-{shard:05}"
    with tempfile.TemporaryDirectory(dir=generation) as folder:
        rows = _to_files(parts, Path(folder), shard, shards)
        whole_shard(view, generation / "log" / name, Path(folder), shard, shards, rows)
        for file in sorted(Path(folder).iterdir()):
            file.replace(generation / "events" / f"{name}-{file.name}")
    return rows


def _to_files(parts: Iterable[bytes], folder: Path, shard: int, shards: int) -> int:
    """Writes events of a shard, some at a time; gives how many."""
    writer, rows, waiting = EventWriter(folder, "events", shards), 0, list[pl.DataFrame]()
    for part in parts:
        waiting.append(pl.read_ipc_stream(io.BytesIO(part)))
        if sum(one.height for one in waiting) >= BATCH_ROWS:
            rows += _append(writer, waiting, shard)
            waiting = []
    rows += _append(writer, waiting, shard)
    writer.close()
    return rows


def _append(writer: EventWriter, frames: list[pl.DataFrame], shard: int) -> int:
    if not frames:
        return 0
    events = pl.concat(frames, how="diagonal_relaxed")
    writer.append(events, np.full(events.height, shard))
    return events.height


def _counted(
    view: FeatureView, generation: Path, counts: Path, pieces: int, shards: int
) -> dict[str, int]:
    names = [f"piece-{place:05}" for place in range(pieces)]
    read = [PieceCounts(**json.loads((counts / f"{name}.json").read_text())) for name in names]
    collect_rejects(generation, names)
    swept = []
    for shard in range(shards):  # those without events are not there yet
        whole = generation / "log" / f"shard-{shard:05}"
        swept.append(whole_shard(view, whole, generation / "events", shard, shards, 0))
    return counts_of(read, swept)
