"""Reads the rows of an Examples artifact as Arrow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.filesystems import FileSystems

from components.errors import BeamfleetError


@dataclass(frozen=True)
class ExamplesSplit:
    """One split of an Examples artifact."""

    uri: str
    """Folder of the artifact, on any Beam filesystem."""
    split: str
    """Name of the split, such as `train`."""
    payload: str = "FORMAT_PARQUET"
    """TFX payload format: FORMAT_PARQUET or FORMAT_TF_EXAMPLE (gzipped TFRecord)."""

    @property
    def pattern(self) -> str:
        return f"{self.uri}/Split-{self.split}/*"


class ReadExamples(beam.PTransform):
    """Reads a split through TFXIO into record batches of plain (not list) columns."""

    def __init__(self, source: ExamplesSplit, batch_rows: int = 65_536) -> None:
        super().__init__()
        self._source = source
        self._batch_rows = batch_rows

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        # Imported here: TFXIO brings TensorFlow, which command lines and workers may not need.
        from tfx.components.util.tfxio_utils import make_tfxio

        tfxio = make_tfxio(
            file_pattern=self._source.pattern,
            telemetry_descriptors=["beamfleet"],
            payload_format=self._source.payload,
        )
        return (
            pipeline
            | "ReadRecordBatches" >> tfxio.BeamSource(self._batch_rows)
            | "FlattenColumns" >> beam.Map(flatten_columns)
        )


def read_batches(
    source: ExamplesSplit, columns: Sequence[str] | None = None, batch_rows: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """Yields a Parquet split without Beam, file by file in name order, as plain columns."""
    if source.payload != "FORMAT_PARQUET":
        raise BeamfleetError(f"{source.uri}: {source.payload} is read by ReadExamples only")
    for found in split_files(source):
        with FileSystems.open(found.path) as file:
            names = list(columns) if columns is not None else None
            for batch in pq.ParquetFile(file).iter_batches(batch_rows, columns=names):
                yield flatten_columns(batch)


def split_files(source: ExamplesSplit) -> list[FileMetadata]:
    """Files of a split (path, size in bytes), in name order.

    Raises:
      BeamfleetError: there is none.
    """
    [match] = FileSystems.match([source.pattern])
    if not match.metadata_list:
        raise BeamfleetError(
            f"{source.uri} has no split {source.split!r}; if it had files once, delete the folder "
            "and run again"
        )
    return sorted(match.metadata_list, key=lambda file: str(file.path))


def flatten_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turns list columns of at most one value a row into plain columns; an empty list is null.

    Raises:
      BeamfleetError: a row has several values in one column.
    """
    columns = [_flatten(batch.schema.names[i], batch.column(i)) for i in range(batch.num_columns)]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _flatten(name: str, column: pa.Array) -> pa.Array:
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return column
    lengths = column.value_lengths()
    longest = pc.max(lengths).as_py()
    if longest is not None and longest > 1:
        raise BeamfleetError(f"column {name!r} has {longest} values in one row, expected at most 1")
    if longest is not None and column.null_count == 0 and pc.min(lengths).as_py() == 1:
        return column.flatten()  # the usual case: no copy
    values = column.flatten()
    filled = pc.fill_null(pc.equal(lengths, 1), False)
    positions = pc.if_else(filled, pc.subtract(pc.cumulative_sum(filled.cast(pa.int64())), 1), None)
    return values.take(positions)
