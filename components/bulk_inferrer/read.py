"""Reads examples together with where each row stands."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, ReadExamples, flatten_columns, split_files

PARQUET = "FORMAT_PARQUET"
FILE, PLACE = "beamfleet:file", "beamfleet:place"
"""Added columns: the file of the row (null if unknown), and its row number in it, from 0; where the
file is unknown a hash of the row, which orders rows just as well."""

_BATCH_ROWS = 65_536


class ReadPlaced(beam.PTransform):
    """Reads splits into tables of plain columns, with FILE and PLACE.

    Parquet files are read one by one, so that a failing row can be named by file and number, and
    without the columns that nobody asks for. Other payloads go through TFXIO, which tells no place.
    """

    def __init__(
        self, splits: Sequence[ExamplesSplit], needed: Sequence[str], everything: bool
    ) -> None:
        """Reads the `needed` columns, which every file must have, or all where `everything`."""
        super().__init__()
        self._splits = splits
        self._needed = needed
        self._everything = everything

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        parts = [
            self._read(pipeline, split, f"[{i}]") | f"AsTables[{i}]" >> beam.Map(_text_columns)
            for i, split in enumerate(self._splits)
        ]
        return parts | "FlattenSplits" >> beam.Flatten()

    def _read(self, pipeline: beam.Pipeline, split: ExamplesSplit, label: str) -> beam.PCollection:
        if split.payload == PARQUET:
            paths = [file.path for file in split_files(split)]
            return (
                pipeline
                | f"Files{label}" >> beam.Create([(path, short_name(path)) for path in paths])
                | f"Spread{label}" >> beam.Reshuffle()
                | f"ReadParquet{label}"
                >> beam.FlatMap(_read_parquet, self._needed, self._everything)
            )
        return (
            pipeline
            | f"ReadExamples{label}" >> ReadExamples(split, _BATCH_ROWS)
            | f"HashRows{label}" >> beam.Map(_hash_rows)
        )


def empty_table(split: ExamplesSplit) -> pa.Table:
    """A table without rows, as ReadPlaced gives it, of the columns of a Parquet split."""
    with FileSystems.open(split_files(split)[0].path) as file:
        batch = flatten_columns(pa.RecordBatch.from_pylist([], pq.read_schema(file)))
    return _text_columns(_with(batch, _same(None, 0), pa.array([], pa.int64())))


def check_columns(path: str, needed: Sequence[str], there: Sequence[str]) -> None:
    """Refuses a file that lacks a column: Arrow would read it without a word."""
    missing = sorted(set(needed) - set(there))
    if missing:
        raise BeamfleetError(
            f"{path} lacks the columns {missing}; it has {sorted(there)}. Name existing columns, "
            "or ingest data with the columns that the models were trained on"
        )


def short_name(path: str) -> str:
    """`Split-eval/data-00000-of-00001.parquet`."""
    return "/".join(PurePosixPath(path).parts[-2:])


def _read_parquet(
    file: tuple[str, str], needed: Sequence[str], everything: bool
) -> Iterator[pa.RecordBatch]:
    path, name = file
    with FileSystems.open(path) as stream:
        parquet = pq.ParquetFile(stream)
        check_columns(path, needed, parquet.schema_arrow.names)
        names = None if everything else list(needed)
        row = 0
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=names):
            places = pa.array(np.arange(row, row + batch.num_rows, dtype=np.int64))
            row += batch.num_rows
            yield _with(flatten_columns(batch), _same(name, batch.num_rows), places)


def _hash_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    frame = batch.select(sorted(batch.schema.names)).to_pandas()
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy(np.uint64)
    return _with(batch, _same(None, batch.num_rows), pa.array(hashes.view(np.int64)))


def _same(name: str | None, rows: int) -> pa.DictionaryArray:
    """A file name that costs four bytes a row while the rows are shuffled."""
    indices = pa.nulls(rows, pa.int32()) if name is None else pa.array(np.zeros(rows, np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array([name or ""]))


def _with(batch: pa.RecordBatch, files: pa.Array, places: pa.Array) -> pa.RecordBatch:
    names = [*batch.schema.names, FILE, PLACE]
    return pa.RecordBatch.from_arrays([*batch.columns, files, places], names=names)


def _text_columns(batch: pa.RecordBatch) -> pa.Table:
    """Bytes become text: tf.Example knows no other words."""
    table = pa.Table.from_batches([batch])
    for i, field in enumerate(table.schema):
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            try:
                table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
            except pa.ArrowInvalid:
                raise BeamfleetError(f"column {field.name!r} is not UTF-8 text") from None
    return table
