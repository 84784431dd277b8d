"""The change log of one shard, in files, with as much in memory as a shard should have."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from components.feature_backfill.event_files import (
    EventWriter,
    events_schema,
    in_schema,
    shard_batches,
)
from components.feature_backfill.shards import parts_of
from components.feature_values.changes import counted_changes
from components.feature_values.ordered import Ints, microseconds_of
from components.feature_values.slices import SlicedChanges
from components.features.view import FeatureView
from components.files import write_json

SHARD_ROWS = 500_000
"""Events of a shard, when all keys are alike."""
MOST_ROWS = 1_000_000
"""A shard that has more is taken apart: by keys, and a key that has more by time."""
_SAMPLE = 1_000_000


@dataclass(frozen=True)
class ShardCounts:
    """What became of a shard's events."""

    events: int
    """Without duplicates."""
    duplicates: int
    rows_out: int
    """Of the change log."""


def whole_shard(
    view: FeatureView, whole: Path, events: Path, shard: int, shards: int, rows: int
) -> ShardCounts:
    """Sweeps a shard into a folder that is there only if all of it is; if it is, nothing is done.

    Args:
      view: Whose events they are.
      whole: The folder.
      events: Folder of event files.
      shard: Which shard of them.
      shards: How many there are.
      rows: How many events the shard has.
    """
    staged = whole.with_name(f"{whole.name}.tmp")
    if not whole.exists():
        if staged.exists():
            shutil.rmtree(staged)
        staged.mkdir()
        counts = ShardLog(view, staged).write(events, shard, shards, rows)
        write_json(str(staged / "counts.json"), asdict(counts))
        staged.replace(whole)
    return ShardCounts(**json.loads((whole / "counts.json").read_text()))


class ShardLog:
    """Sweeps a shard into `part-<n>.parquet`: file by file each key's rows are in order."""

    def __init__(self, view: FeatureView, folder: Path) -> None:
        """Begins.

        Args:
          view: Whose events they are.
          folder: Empty; for the parts, and for what lies on disk meanwhile.
        """
        self._view, self._folder, self._most = view, folder, MOST_ROWS
        self._parts = self._rows_out = self._duplicates = 0

    def write(self, events: Path, shard: int, shards: int, rows: int) -> ShardCounts:
        """Sweeps the shard of a folder of event files, which has that many rows."""
        schema = events_schema(self._view, events)
        if rows <= self._most:
            self._whole(_read(events, shard, shards, schema))
        else:
            self._taken_apart(events, shard, shards, schema, rows)
        return ShardCounts(rows - self._duplicates, self._duplicates, self._rows_out)

    def _whole(self, events: pl.DataFrame) -> None:
        log, duplicates = counted_changes(self._view, events)
        self._duplicates += duplicates
        self._add(log)

    def _add(self, log: pl.DataFrame) -> None:
        log.write_parquet(self._folder / f"part-{self._parts:05}.parquet")
        self._parts += 1
        self._rows_out += log.height

    def _taken_apart(
        self, events: Path, shard: int, shards: int, schema: pl.Schema, rows: int
    ) -> None:
        """The hot keys each for itself, the others in groups."""
        keys = list(self._view.keys)
        hot = self._hot_keys(events, shard, shards)
        groups = -(-2 * (rows - int(hot["len"].sum())) // self._most)
        numbered = hot.drop("len").with_columns(hot=pl.int_range(pl.len()) + groups)
        meanwhile, total = self._folder / "meanwhile", groups + hot.height
        meanwhile.mkdir()
        writer = EventWriter(meanwhile, "events", total)
        for batch in shard_batches(events, shard, shards):
            found = batch.select(keys).join(numbered, on=keys, how="left", maintain_order="left")
            part = found["hot"].fill_null(pl.Series(parts_of(batch.select(keys), max(groups, 1))))
            writer.append(in_schema(batch, schema), part.to_numpy())
        writer.close()
        for group in range(groups):
            self._whole(_read(meanwhile, group, total, schema))
        for place, many in enumerate(hot["len"].to_list()):
            self._sliced(meanwhile, groups + place, total, schema, many)
        shutil.rmtree(meanwhile)

    def _hot_keys(self, events: Path, shard: int, shards: int) -> pl.DataFrame:
        """Keys with more than half of what fits into memory, and how many events each has."""
        counted = [
            batch.group_by(self._view.keys).len() for batch in shard_batches(events, shard, shards)
        ]
        summed = pl.concat(counted).group_by(self._view.keys).agg(pl.col("len").sum())
        return summed.filter(pl.col("len") > self._most // 2).sort(self._view.keys)

    def _sliced(self, events: Path, part: int, parts: int, schema: pl.Schema, rows: int) -> None:
        """One key, one slice of time after the other."""
        cuts = _cuts(events, part, parts, rows, -(-rows // self._most))
        folder, slices = self._folder / "slices", len(cuts) + 1
        folder.mkdir()
        writer = EventWriter(folder, "events", slices)
        for batch in shard_batches(events, part, parts):
            at = microseconds_of(batch, "event_time")
            writer.append(in_schema(batch, schema), np.searchsorted(cuts, at, "right"))
        writer.close()
        sliced = SlicedChanges(self._view)
        for place in range(slices):
            until = int(cuts[place]) if place < len(cuts) else None
            self._add(sliced.add(_read(folder, place, slices, schema), until))
        self._duplicates += sliced.duplicates
        shutil.rmtree(folder)


def _read(events: Path, shard: int, shards: int, schema: pl.Schema) -> pl.DataFrame:
    batches = [in_schema(one, schema) for one in shard_batches(events, shard, shards)]
    return pl.concat(batches) if batches else pl.DataFrame(schema=schema)


def _cuts(events: Path, part: int, parts: int, rows: int, slices: int) -> Ints:
    """Times that take the events into slices of about as many each."""
    step = max(rows // _SAMPLE, 1)
    sample = np.sort(
        np.concatenate(
            [
                microseconds_of(batch, "event_time")[::step]
                for batch in shard_batches(events, part, parts)
            ]
        )
    )
    return np.unique(sample[[len(sample) * place // slices for place in range(1, slices)]])
