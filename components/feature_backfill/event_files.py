"""Keyed events on disk, by shard: Arrow files of one record batch a shard, again and again."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from components.feature_values.keyed import POLARS_TYPES, TIME, value_columns
from components.feature_values.ordered import Ints
from components.features.view import FeatureView

_AS_WRITTEN = pl.CompatLevel.oldest()
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class EventWriter:
    """Appends events to files `<stem>-0.arrow`, ...: another one where the columns change."""

    def __init__(self, folder: Path, stem: str, shards: int) -> None:
        self._folder, self._stem, self._shards = folder, stem, shards
        self._writer: pa.RecordBatchFileWriter | None = None
        self._schema: pa.Schema | None = None
        self._files = 0

    def append(self, events: pl.DataFrame, shard: npt.NDArray[Any]) -> None:
        """Writes each shard's events as a record batch; `shard` is that of each event."""
        ordered, starts = grouped(events, shard, self._shards)
        table = ordered.rechunk().to_arrow(compat_level=_AS_WRITTEN)
        if self._writer is None or table.schema != self._schema:
            self.close()
            self._schema = table.schema
            path = self._folder / f"{self._stem}-{self._files}.arrow"
            self._writer = pa.ipc.new_file(path, table.schema, options=_OPTIONS)
            self._files += 1
        batches = table.to_batches()
        whole = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
        for start, end in pairwise(starts.tolist()):
            self._writer.write_batch(whole.slice(start, end - start))

    def close(self) -> None:
        """Ends the file that is open."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def shard_batches(folder: Path, shard: int, shards: int) -> Iterator[pl.DataFrame]:
    """The events of a shard, batch by batch."""
    for path in sorted(folder.glob("*.arrow")):
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
            for number in range(shard, file.num_record_batches, shards):
                if (batch := file.get_batch(number)).num_rows:
                    yield pl.DataFrame(pl.from_arrow(batch))


def events_schema(view: FeatureView, folder: Path) -> pl.Schema:
    """Columns of the events in a folder, in types that hold those of every file."""
    columns = {key: POLARS_TYPES[kind] for key, kind in view.key_types.items()}
    columns |= {"event_time": TIME, "created": TIME, "event_id": pl.String()}
    columns = dict.fromkeys(value_columns(view), pl.Null()) | columns
    first = [*view.keys, "event_time", "created", "event_id"]
    empty = [pl.DataFrame(schema=columns).select(*first, pl.exclude(first))]
    for path in sorted(folder.glob("*.arrow")):
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
            empty.append(pl.DataFrame(pl.from_arrow(file.schema.empty_table())))
    return pl.concat(empty, how="diagonal_relaxed").schema


def in_schema(batch: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The batch with the columns and types of all."""
    return pl.concat([pl.DataFrame(schema=schema), batch], how="diagonal_relaxed").select(
        list(schema)
    )


def grouped(
    events: pl.DataFrame, shard: npt.NDArray[Any], shards: int
) -> tuple[pl.DataFrame, Ints]:
    """Events with those of a shard together, and where each shard begins (shards + 1 places)."""
    shard = shard.astype(np.uint16)
    order = np.argsort(shard, kind="stable")
    counts = np.bincount(shard, minlength=shards)
    return events[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
