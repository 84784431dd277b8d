"""Reads Parquet files into typed Arrow tables."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.errors import BeamfleetError
from components.example_gen.column_types import Kind
from components.example_gen.parts import Part, RowPlaces, natural_kinds, typed_part
from components.example_gen.source import ParquetSource
from components.examples.read import flatten_columns

_BATCH_ROWS = 65_536
_SAMPLE_ROWS = 10_000


@dataclass(frozen=True)
class ParquetBlock:
    """Some rows of one file."""

    file: str
    first_row: int
    """Number of the first row in the file, from 1."""
    batch: pa.RecordBatch


class ParquetReader:
    """Reads Parquet files in batches; columns must have the same names in all files."""

    def __init__(self, source: ParquetSource, schema: Collection[str] = ()) -> None:
        """Takes the columns whose type a schema gives besides."""
        self._stated = {name for name, _ in source.types}
        self._given = {*self._stated, *schema}

    def blocks(self, files: Sequence[str]) -> Iterator[ParquetBlock]:
        """Yields the rows of all files.

        Raises:
          BeamfleetError: a file is damaged or has other columns than the first.
        """
        columns: list[str] = []
        for path in files:
            first_row = 1
            for batch in _read_batches(path):
                columns = columns or _distinct_names(batch.schema.names, path)
                if batch.schema.names != columns:
                    raise BeamfleetError(
                        f"{path} has columns {batch.schema.names}, but {files[0]} has {columns}; "
                        "files that are read together need the same columns"
                    )
                yield ParquetBlock(path, first_row, batch)
                first_row += batch.num_rows

    def sample(self, block: ParquetBlock) -> ParquetBlock:
        return replace(block, batch=block.batch.slice(0, _SAMPLE_ROWS))

    def infer(self, block: ParquetBlock) -> dict[str, Kind]:
        return natural_kinds(_flat_table(block.batch, block.file), block.file)

    def parse(self, block: ParquetBlock, types: Mapping[str, Kind]) -> Part:
        table = _flat_table(block.batch, block.file)
        numbers = range(block.first_row, block.first_row + table.num_rows)
        places = RowPlaces(block.file, numbers)
        return typed_part(table, types, self._given, places, stated=self._stated)


def _read_batches(path: str) -> Iterator[pa.RecordBatch]:
    try:
        with FileSystems.open(path) as file:
            yield from pq.ParquetFile(file).iter_batches(_BATCH_ROWS)
    except (OSError, pa.ArrowInvalid) as error:
        raise BeamfleetError(f"{path} cannot be read as Parquet: {error}") from error


def _distinct_names(names: list[str], path: str) -> list[str]:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BeamfleetError(f"{path} has several columns named {repeated}; rename all but one")
    return names


def _flat_table(batch: pa.RecordBatch, path: str) -> pa.Table:
    try:
        return pa.Table.from_batches([flatten_columns(batch)])
    except BeamfleetError as error:
        raise BeamfleetError(f"{path}: {error}") from None
