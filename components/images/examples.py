"""Images as rows of an Examples artifact: what its columns are, and how they are read back."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.ensemble.record import Record
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, flatten_columns, split_files
from components.images.ahead import map_ahead
from components.images.decode import MAX_PIXELS, ImageError, decode
from components.images.read import STAGE

SPLIT = "images"
"""The one split of image Examples."""
MADE = pa.schema(
    {
        "image_uri": pa.string(),
        "image": pa.binary(),
        "format": pa.string(),
        "width": pa.int64(),
        "height": pa.int64(),
        "bytes": pa.int64(),
        "sha256": pa.string(),
        "brightness": pa.float64(),
        "contrast": pa.float64(),
        "reference": pa.string(),
    }
)
"""The columns that ImageExampleGen makes; behind them come those of the reference file."""

_OF_FILE = ("format", "width", "height", "bytes", "brightness", "contrast")


@beam.typehints.with_output_types(Record)
class ReadImageExamples(beam.PTransform):
    """Image Examples -> records, decoded: keys are the image URIs, which need not be unique.

    The values of a record are `image_uri`, `image`, (height, width, 3) uint8, `reference` (None
    where there is none) and the columns of the reference file. An image that cannot be decoded is
    a record with a failure.

    What is shuffled is the names of row groups; workers hold one row group each.

    Example:
        pipeline | ReadImageExamples(ExamplesSplit(examples.uri, "images"))
    """

    def __init__(self, split: ExamplesSplit, max_pixels: int = MAX_PIXELS) -> None:
        super().__init__()
        self._split = split
        self._max_pixels = max_pixels

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | "ListFiles" >> beam.Create(_files(self._split))
            | "ListRowGroups" >> beam.FlatMap(_row_groups)
            | "SpreadRowGroups" >> beam.Reshuffle()
            | "ReadRows" >> beam.FlatMap(_read_row_group, self._max_pixels)
        )


def read_image_rows(
    split: ExamplesSplit, batch: int = 64, max_pixels: int = MAX_PIXELS
) -> Iterator[list[Record]]:
    """Yields what `ReadImageExamples` gives, without Beam and in order, `batch` records at a time.

    Raises:
      BeamfleetError: the split has no file, or is not one of images.
    """
    groups = (group for path in _files(split) for group in _row_groups(path))
    records = (record for group in groups for record in _read_row_group(group, max_pixels))
    while some := list(islice(records, batch)):
        yield some


def _files(split: ExamplesSplit) -> list[str]:
    if split.payload != "FORMAT_PARQUET":
        raise BeamfleetError(f"{split.uri}: images are read from Parquet, not {split.payload}")
    return [str(file.path) for file in split_files(split)]


def _row_groups(path: str) -> list[tuple[str, int]]:
    with FileSystems.open(path) as file:
        parquet = pq.ParquetFile(file)
        if missing := {"image_uri", "image"} - {*parquet.schema_arrow.names}:
            raise BeamfleetError(
                f"{path} has no column {' and no column '.join(sorted(missing))}; expected the "
                "Examples of ImageExampleGen"
            )
        return [(path, number) for number in range(parquet.num_row_groups)]


def _read_row_group(group: tuple[str, int], max_pixels: int) -> Iterator[Record]:
    path, number = group
    with FileSystems.open(path) as file:
        parquet = pq.ParquetFile(file)
        columns = [name for name in parquet.schema_arrow.names if name not in _OF_FILE]
        table = parquet.read_row_group(number, columns).combine_chunks()
    rows = (row for batch in table.to_batches() for row in _rows(flatten_columns(batch)))
    yield from map_ahead(partial(_record, max_pixels=max_pixels), rows, _threads(), _size)


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names: Sequence[str] = batch.schema.names
    for values in zip(*batch.columns, strict=True):
        yield {name: value.as_py() for name, value in zip(names, values, strict=True)}


def _record(row: dict[str, Any], max_pixels: int) -> Record:
    content = row.pop("image")
    record = Record(row["image_uri"], {"reference": None, **row})
    try:
        return record.with_prediction("image", decode(content, max_pixels), "")
    except ImageError as error:
        return record.failed(STAGE, str(error))


def _threads() -> int:
    return min(os.cpu_count() or 1, 8)


def _size(record: Record) -> int:
    """Bytes of the pixels."""
    return int(record.values["image"].nbytes) if record.failure is None else 0
