"""Writes shards of images: a file of rows, a file of rejects, and a report when both are there."""

import contextlib
import json
import uuid
from types import TracebackType
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.parts import Reject
from components.example_gen.write import RejectsWriter, to_list_columns
from components.files import exists, make_folder, move_into_place, open_file, write_json

ROW_GROUP_BYTES = 16 * 2**20
"""Of images: a row group is closed as soon as it has as many. Readers hold one row group."""

_REJECTS = 1_000
"""That are written at once."""


class _Part(Protocol):
    """A file that is being written."""

    path: str
    count: int

    def close(self) -> None:
        """Writes what is left and closes the file."""


class ShardFiles:
    """Names of the files of one shard in the staging folder."""

    def __init__(self, staging: str, number: int) -> None:
        self.rows = f"{staging}/rows-{number:05d}.parquet"
        self.rejects = f"{staging}/rejects-{number:05d}.parquet"
        self.report = f"{staging}/report-{number:05d}.json"
        """{"rows_in", "rows", "rejects"}: how many; written last."""

    def read_report(self) -> dict[str, int]:
        with open_file(self.report) as file:
            report: dict[str, int] = json.loads(file.read())
        return report


class ShardWriter:
    """Writes the rows and rejects of one shard; another worker may be doing the same.

    Files without content are not written. Leaving it without an error moves all to its place.
    """

    def __init__(self, staging: str, number: int, schema: pa.Schema) -> None:
        """Begins a shard.

        Args:
          staging: folder, made if needed.
          number: of the shard.
          schema: plain types of all columns; `image` is the one that may be large.
        """
        make_folder(staging)
        own = f"{staging}/.{uuid.uuid4().hex}"
        self._rows = _RowsWriter(f"{own}.rows", schema)
        self._rejects = _BufferedRejects(f"{own}.rejects")
        self._files = ShardFiles(staging, number)

    def __enter__(self) -> "ShardWriter":
        return self

    def write(self, row: dict[str, Any] | Reject) -> None:
        """Adds a row, or the reason why there is none."""
        if isinstance(row, Reject):
            self._rejects.write(row)
        else:
            self._rows.write(row)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        parts: list[tuple[_Part, str]] = [
            (self._rows, self._files.rows),
            (self._rejects, self._files.rejects),
        ]
        for part, target in parts:
            part.close()
            if part.count and error is None:
                move_into_place(part.path, target)
            elif exists(part.path):
                FileSystems.delete([part.path])
        if error is None:
            rows, rejects = self._rows.count, self._rejects.count
            report = {"rows_in": rows + rejects, "rows": rows, "rejects": rejects}
            write_json(self._files.report, report)


class _RowsWriter:
    """Parquet of list columns; images are not compressed again."""

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self.path = path
        self.count = 0
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._open = contextlib.ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def write(self, row: dict[str, Any]) -> None:
        self.count += 1
        self._rows.append(row)
        self._bytes += row["bytes"]
        if self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._open.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None:
            self._writer = self._start()
        self._writer.write_table(to_list_columns(pa.Table.from_pylist(self._rows, self._schema)))
        self._rows, self._bytes = [], 0

    def _start(self) -> pq.ParquetWriter:
        file = FileSystems.create(self.path, compression_type=CompressionTypes.UNCOMPRESSED)
        lists = pa.schema([(field.name, pa.list_(field.type)) for field in self._schema])
        paths = {name: f"{name}.list.element" for name in self._schema.names}
        own = ("image", "image_uri", "sha256")  # each value is there once
        writer = pq.ParquetWriter(
            self._open.enter_context(file),
            lists,
            compression={p: "NONE" if n == "image" else "ZSTD" for n, p in paths.items()},
            use_dictionary=[path for name, path in paths.items() if name not in own],
            store_schema=False,  # as ExampleGen does: the Parquet types say it all
        )
        return self._open.enter_context(writer)


class _BufferedRejects:
    """Rejects, written some at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0
        self._writer = RejectsWriter(path)
        self._waiting: list[Reject] = []

    def write(self, reject: Reject) -> None:
        self.count += 1
        self._waiting.append(reject)
        if len(self._waiting) == _REJECTS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write(self._waiting)
        self._waiting = []
