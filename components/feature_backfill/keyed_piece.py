"""From a piece of a source to keyed events on disk, every row counted."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from components.errors import BeamfleetError
from components.feature_backfill.event_files import EventWriter
from components.feature_backfill.shards import shards_of
from components.feature_backfill.source_files import Batch, Piece, batches_of
from components.feature_values.keyed import keyed_events
from components.features.view import FeatureView
from components.files import write_json

_NO_REJECTS = pl.DataFrame(schema={"row": pl.Int64, "reason": pl.String})
REJECTS = {"file": pl.String, "row": pl.Int64, "reason": pl.String}


@dataclass(frozen=True)
class PieceCounts:
    """rows_in = rejected + filtered + later + the sum of shards."""

    rows_in: int
    rejected: int
    filtered: int
    later: int
    """Happened, or came to be known, after the point in time of the backfill."""
    shards: list[int]
    """Events of each shard."""

    @classmethod
    def of(cls, counts: Counter[str], shards: list[int]) -> "PieceCounts":
        """The sums over the batches of a piece."""
        rows_in, rejected = counts["rows_in"], counts["rejected"]
        return cls(rows_in, rejected, counts["filtered"], counts["later"], shards)


@dataclass(frozen=True)
class KeyedBatch:
    """Keyed events of a batch, and what became of its other rows."""

    events: pl.DataFrame
    rejects: pl.DataFrame
    """file, row, reason."""
    counts: Counter[str]


def keyed_batches(view: FeatureView, piece: Piece, as_of: datetime | None) -> Iterator[KeyedBatch]:
    """Reads a piece.

    Raises:
      BeamfleetError: see `keyed_events`; the file is named, too.
    """
    source = view.sources[piece.source]
    for batch in batches_of(piece, source):
        if not batch.rows.width:  # no line of it can be read: there are no columns to be asked for
            batch_rejects = _rejects(piece, batch, _NO_REJECTS)
            told = Counter(rows_in=batch_rejects.height, rejected=batch_rejects.height)
            yield KeyedBatch(pl.DataFrame(), batch_rejects, told)
            continue
        try:
            keyed = keyed_events(view, source, batch.rows)
        except BeamfleetError as error:
            raise BeamfleetError(f"{piece.path}: {error}") from error
        events = keyed.events
        if as_of is not None:
            events = events.filter(pl.max_horizontal("event_time", "created") <= as_of)
        rejects = _rejects(piece, batch, keyed.rejects)
        yield KeyedBatch(
            events,
            rejects,
            Counter(
                rows_in=batch.rows.height + batch.unreadable.height,
                rejected=rejects.height,
                filtered=keyed.filtered,
                later=keyed.events.height - events.height,
            ),
        )


def write_piece(
    view: FeatureView, piece: Piece, name: str, as_of: datetime | None, shards: int, folder: Path
) -> PieceCounts:
    """Writes the events of a piece, or finds them written: a file `<name>.json` says so."""
    done = folder / f"{name}.json"
    if done.exists():
        return PieceCounts(**json.loads(done.read_text()))
    writer, counts = EventWriter(folder, name, shards), Counter[str]()
    events, rejects = np.zeros(shards, dtype=np.int64), [pl.DataFrame(schema=REJECTS)]
    for batch in keyed_batches(view, piece, as_of):
        counts += batch.counts
        rejects.append(batch.rejects)
        if batch.events.height:
            shard = shards_of(batch.events.select(view.keys), shards)
            events += np.bincount(shard, minlength=shards)
            writer.append(batch.events, shard)
    writer.close()
    pl.concat(rejects).write_parquet(folder / f"{name}.rejects")
    made = PieceCounts.of(counts, events.tolist())
    write_json(str(done), asdict(made))
    return made


def collect_rejects(generation: Path, names: Sequence[str]) -> None:
    """Writes those of all pieces into one file, for people."""
    parts = [pl.read_parquet(generation / "events" / f"{name}.rejects") for name in names]
    staged = generation / "rejects.tmp"
    pl.concat([pl.DataFrame(schema=REJECTS), *parts]).write_parquet(staged)
    staged.replace(generation / "rejects.parquet")


def _rejects(piece: Piece, batch: Batch, rejects: pl.DataFrame) -> pl.DataFrame:
    numbers = pl.Series(batch.numbers, dtype=pl.Int64)
    named = rejects.select(
        row=pl.Series(numbers.gather(rejects["row"])) if rejects.height else pl.lit(None),
        reason="reason",
    ).cast({"row": pl.Int64, "reason": pl.String})
    both = pl.concat([named, batch.unreadable])
    return both.select(pl.lit(piece.path).alias("file"), "row", "reason")
