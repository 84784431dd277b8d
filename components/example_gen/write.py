"""Writes the splits of an Examples artifact, and the rows that were rejected."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.errors import BeamfleetError
from components.example_gen.parts import Reject
from components.files import make_folder, move_into_place

ROW_GROUP_ROWS = 20_000
"""Least rows of a row group; readers work through a file one row group at a time."""

_REJECTS = pa.schema(
    [("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())]
)


class ExamplesWriter:
    """Writes the splits of an artifact under temporary names; `publish` makes them visible.

    Use as a context manager: leaving it without `publish` removes what was written.
    """

    def __init__(self, uri: str, splits: Sequence[str], payload: str) -> None:
        self._uri = uri
        self._staging = f"{uri}/_staging"
        self._names = splits
        self._make = ParquetSplitWriter if payload == "parquet" else TFExampleSplitWriter
        self._splits: dict[str, SplitWriter] = {}
        self._schema: pa.Schema | None = None
        self._rejects = RejectsWriter(f"{self._staging}/rejects.parquet")

    def __enter__(self) -> "ExamplesWriter":
        self._remove_staging()
        make_folder(self._staging)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._remove_staging()

    def write(self, tables: Mapping[str, pa.Table], rejects: Sequence[Reject]) -> None:
        """Adds rows of plain columns to their splits.

        Raises:
          BeamfleetError: the columns are not those of the first call.
        """
        for split, table in tables.items():
            self._check_schema(table.schema)
            self._splits[split].write(to_list_columns(table))
        self._rejects.write(rejects)

    def publish(self) -> None:
        """Moves everything to its place."""
        self._close()
        for name in self._names:
            make_folder(f"{self._uri}/Split-{name}")
            target = f"{self._uri}/Split-{name}/{self._make.file_name}"
            move_into_place(f"{self._staging}/{name}", target)
        if self._rejects.is_used:
            move_into_place(f"{self._staging}/rejects.parquet", f"{self._uri}/rejects.parquet")

    def _check_schema(self, schema: pa.Schema) -> None:
        if self._schema is None:
            self._schema = schema
            lists = pa.schema([(field.name, pa.list_(field.type)) for field in schema])
            self._splits = {n: self._make(f"{self._staging}/{n}", lists) for n in self._names}
        elif schema != self._schema:
            raise BeamfleetError(
                f"the clean function returned columns {_described(schema)} for one block of rows "
                f"and {_described(self._schema)} for another; cast them to one type"
            )

    def _close(self) -> None:
        for writer in [*self._splits.values(), self._rejects]:
            writer.close()

    def _remove_staging(self) -> None:
        if FileSystems.exists(self._staging):
            FileSystems.delete([self._staging])


class SplitWriter(Protocol):
    """Writes the rows of one split to one file."""

    def write(self, table: pa.Table) -> None:
        """Adds rows of list columns."""

    def close(self) -> None:
        """Writes what is left and closes the file."""


class ParquetSplitWriter:
    """Parquet with zstd; collects rows until they fill a row group."""

    file_name = "data-00000-of-00001.parquet"

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self._file = _create(path)
        # Without the Arrow schema, readers see plain strings and not our dictionaries.
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd", store_schema=False)
        self._tables: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        self._tables.append(table)
        if sum(t.num_rows for t in self._tables) >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        if not self._file.closed:
            self._flush()
            self._writer.close()
            self._file.close()

    def _flush(self) -> None:
        if self._tables:
            self._writer.write_table(pa.concat_tables(self._tables))
            self._tables = []


class TFExampleSplitWriter:
    """Gzipped TFRecord of tf.Example, which has no double: numbers become float32."""

    file_name = "data_tfrecord-00000-of-00001.gz"

    def __init__(self, path: str, schema: pa.Schema) -> None:
        import tensorflow as tf
        from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

        del schema
        self._encoder = RecordBatchToExamplesEncoder()
        self._writer = tf.io.TFRecordWriter(path, "GZIP")

    def write(self, table: pa.Table) -> None:
        columns = [_for_tf_example(column.type) for column in table.schema]
        plain = table.cast(pa.schema(list(zip(table.column_names, columns, strict=True))))
        for batch in plain.to_batches():
            for record in self._encoder.encode(batch):
                self._writer.write(record)

    def close(self) -> None:
        self._writer.close()


class RejectsWriter:
    """Writes rejected rows to Parquet; there is no file until there is a reject."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: Any = None
        self._file: Any = None

    def write(self, rejects: Sequence[Reject]) -> None:
        if not rejects:
            return
        if self._writer is None:
            self._file = _create(self._path)
            self._writer = pq.ParquetWriter(self._file, _REJECTS, compression="zstd")
        rows = [vars(reject) for reject in rejects]
        self._writer.write_table(pa.Table.from_pylist(rows, schema=_REJECTS))

    @property
    def is_used(self) -> bool:
        return self._writer is not None

    def close(self) -> None:
        if self.is_used and not self._file.closed:
            self._writer.close()
            self._file.close()


def to_list_columns(table: pa.Table) -> pa.Table:
    """Turns each value into a list of one value, and null into a null list."""
    columns = [_to_lists(column.combine_chunks()) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _to_lists(column: pa.Array) -> pa.Array:
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(column) + 1, dtype=np.int32)
    np.cumsum(valid, out=offsets[1:])
    if column.null_count == 0:
        return pa.ListArray.from_arrays(offsets, column)
    return pa.ListArray.from_arrays(offsets, column.drop_null(), mask=pa.array(~valid))


def _for_tf_example(column: pa.DataType) -> pa.DataType:
    value = column.value_type
    if pa.types.is_integer(value):
        return column
    return pa.list_(pa.float32() if pa.types.is_floating(value) else pa.binary())


def _described(schema: pa.Schema) -> str:
    return str({field.name: str(field.type) for field in schema})


def _create(path: str) -> Any:
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
