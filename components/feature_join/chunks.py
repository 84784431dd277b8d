"""Frames on their way through Beam: Arrow IPC bytes, never one Python row an element.

A chunk is (position, bytes): chunks in the order of their positions are the whole, row by row.
"""

import io
from collections.abc import Iterable

import apache_beam as beam
import polars as pl
import pyarrow.parquet as pq

from components.files import open_file, write_parquet

Chunk = tuple[int, bytes]


def packed(frame: pl.DataFrame) -> bytes:
    """A frame as Arrow IPC; compressed, because runners copy it some times."""
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="lz4")
    return buffer.getvalue()


def unpacked(content: bytes) -> pl.DataFrame:
    """The frame that `packed` was given."""
    return pl.read_ipc(content)


class ReadParquetChunks(beam.PTransform):
    """Chunks of Parquet files, in the order of the files: one a row group."""

    def __init__(self, files: Iterable[str], columns: Iterable[str] | None = None) -> None:
        """Reads the footers.

        Args:
          files: Paths on any Beam filesystem.
          columns: Those that are read; None: all.
        """
        super().__init__()
        self._columns = None if columns is None else list(columns)
        self._groups = []
        for file in files:
            with open_file(file) as opened:
                count = pq.ParquetFile(opened).num_row_groups
            self._groups += [(file, group) for group in range(count)]

    def expand(self, root: beam.Pipeline) -> beam.PCollection[Chunk]:
        """Reads the row groups in any order, in parallel."""
        numbered = [(i, *group) for i, group in enumerate(self._groups)]
        return (
            root
            | "ListRowGroups" >> beam.Create(numbered)
            | "SpreadRowGroups" >> beam.Reshuffle()
            | "ReadRowGroup" >> beam.Map(_read, columns=self._columns)
        )


class WriteParquetChunks(beam.PTransform):
    """Each chunk becomes `part-<position>.parquet`: whole or absent, the same one when repeated."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, chunks: beam.PCollection[Chunk]) -> beam.PCollection[str]:
        """Gives the paths."""
        return chunks | "WriteChunk" >> beam.Map(_write, folder=self._folder)


def _read(row_group: tuple[int, str, int], columns: list[str] | None) -> Chunk:
    position, file, group = row_group
    with open_file(file) as opened:
        table = pq.ParquetFile(opened).read_row_group(group, columns=columns)
    return position, packed(pl.DataFrame(table))


def _write(chunk: Chunk, folder: str) -> str:
    position, content = chunk
    path = f"{folder.rstrip('/')}/part-{position:08d}.parquet"
    write_parquet(path, unpacked(content).to_arrow())
    return path
