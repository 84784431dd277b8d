"""Reads TFRecord files of tf.Example into typed Arrow tables."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.errors import BeamfleetError
from components.example_gen.column_types import Kind
from components.example_gen.parts import Part, Reject, RowPlaces, natural_kinds, typed_part
from components.example_gen.source import TFRecordSource
from components.examples.read import flatten_columns

_BATCH_ROWS = 16_384
_SAMPLE_ROWS = 1_000


@dataclass(frozen=True)
class RecordBlock:
    """Some serialized tf.Examples of one file."""

    file: str
    first_record: int
    """Number of the first record in the file, from 1."""
    records: list[bytes]


class TFRecordReader:
    """Reads tf.Examples; a feature that some examples lack is missing there."""

    def __init__(self, source: TFRecordSource, schema: Collection[str] = ()) -> None:
        """Takes the columns whose type a schema gives besides."""
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

        self._stated = {name for name, _ in source.types}
        self._given = {*self._stated, *schema}
        self._decoder = ExamplesToRecordBatchDecoder()

    def blocks(self, files: Sequence[str]) -> Iterator[RecordBlock]:
        """Yields the records of all files.

        Raises:
          BeamfleetError: a file is damaged or no TFRecord file.
        """
        for path in files:
            first_record = 1
            records = _records(path)
            while batch := list(islice(records, _BATCH_ROWS)):
                yield RecordBlock(path, first_record, batch)
                first_record += len(batch)

    def sample(self, block: RecordBlock) -> RecordBlock:
        return replace(block, records=block.records[:_SAMPLE_ROWS])

    def infer(self, block: RecordBlock) -> dict[str, Kind]:
        table, _, _ = self._decode(block)
        return natural_kinds(table, block.file)

    def parse(self, block: RecordBlock, types: Mapping[str, Kind]) -> Part:
        table, numbers, rejects = self._decode(block)
        places = RowPlaces(block.file, numbers)
        return typed_part(table, types, self._given, places, rejects, self._stated)

    def _decode(self, block: RecordBlock) -> tuple[pa.Table, list[int], list[Reject]]:
        rejects: list[Reject] = []
        numbers = list(range(block.first_record, block.first_record + len(block.records)))
        records = block.records
        try:
            batch = self._decoder.DecodeBatch(records)
        except RuntimeError:  # one that is no tf.Example fails them all
            good = [self._is_example(record) for record in records]
            rejects = [
                Reject(block.file, number, "record is no tf.Example", repr(record[:200]))
                for number, record, is_good in zip(numbers, records, good, strict=True)
                if not is_good
            ]
            numbers = [number for number, is_good in zip(numbers, good, strict=True) if is_good]
            batch = self._decoder.DecodeBatch(
                [r for r, ok in zip(records, good, strict=True) if ok]
            )
        try:
            return pa.Table.from_batches([flatten_columns(batch)]), numbers, rejects
        except BeamfleetError as error:
            raise BeamfleetError(f"{block.file}: {error}") from None

    def _is_example(self, record: bytes) -> bool:
        try:
            self._decoder.DecodeBatch([record])
        except RuntimeError:
            return False
        return True


def _records(path: str) -> Iterator[bytes]:
    import tensorflow as tf

    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        compression = "GZIP" if file.read(2) == b"\x1f\x8b" else ""
    records: Any = tf.data.TFRecordDataset(path, compression).as_numpy_iterator()
    try:
        yield from records
    except tf.errors.OpError as error:
        raise BeamfleetError(f"{path} cannot be read as TFRecord: {error.message}") from error
