"""Computes TFDV statistics of a Parquet split, streaming, without Beam."""

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, split_files
from components.files import write_whole

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

STATISTICS_FILE = "FeatureStats.pb"
"""Name inside `Split-<name>/`, as the stock StatisticsGen writes it."""

_BATCH_ROWS = 65_536


def compute_statistics(
    examples: ExamplesSplit, schema: "Schema | None" = None
) -> "DatasetFeatureStatisticsList":
    """Returns what `tfdv.generate_statistics_in_memory` returns, with flat memory.

    The list columns go from Parquet to TFDV's generators as they are, in large batches; top
    values and distinct values come from sketches, whose size is bounded.

    Columns of raw bytes (images; Parquet says which bytes are text) are not read. Of them it is
    said how many rows have a value, which Parquet knows without it: they are in the inferred
    schema, as BYTES.

    Args:
      examples: a split in Parquet.
      schema: tells which whole numbers are categories.

    Raises:
      BeamfleetError: the split has no file, or says nothing of a column of raw bytes.
    """
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics import stats_impl

    generators: list[Any] = stats_impl.get_generators(
        tfdv.StatsOptions(schema=schema), in_memory=True
    )
    partial = [generator.create_accumulator() for generator in generators]
    raw = _RawColumns()
    for found in split_files(examples):
        with FileSystems.open(found.path) as file:
            parquet = pq.ParquetFile(file)
            raw.count(parquet)
            columns = [name for name in parquet.schema_arrow.names if name not in raw.present]
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns):
                partial = [g.add_input(p, batch) for g, p in zip(generators, partial, strict=True)]
    statistics = stats_impl.extract_statistics_output(partial, generators)
    raw.describe(statistics.datasets[0])
    return statistics


class _RawColumns:
    """Columns of raw bytes: how many rows have a value, by the footers of the files."""

    def __init__(self) -> None:
        self.rows = 0
        self.present: dict[str, int] = {}
        """Column -> rows with a value."""

    def count(self, parquet: pq.ParquetFile) -> None:
        """Adds a file."""
        self.rows += parquet.metadata.num_rows
        for name in _raw_columns(parquet.schema_arrow):
            self.present[name] = self.present.get(name, 0) + _present(parquet.metadata, name)

    def describe(self, dataset: Any) -> None:
        """Adds the columns to the statistics of a data set."""
        for name, present in self.present.items():
            feature = dataset.features.add(type="BYTES")
            feature.path.step.append(name)
            common = feature.bytes_stats.common_stats
            common.num_non_missing = present
            common.num_missing = self.rows - present
            common.min_num_values = common.max_num_values = common.avg_num_values = 1
            common.tot_num_values = present


def _raw_columns(schema: pa.Schema) -> list[str]:
    types = {field.name: field.type for field in schema}
    values = {n: kind.value_type if pa.types.is_list(kind) else kind for n, kind in types.items()}
    return [
        name
        for name, kind in values.items()
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    ]


def _present(footer: pq.FileMetaData, name: str) -> int:
    """Rows with a value; an empty list is none."""
    chunks = [
        footer.row_group(group).column(column)
        for group in range(footer.num_row_groups)
        for column in range(footer.num_columns)
        if footer.schema.column(column).path.split(".")[0] == name
    ]
    if not all(chunk.is_stats_set and chunk.statistics.has_null_count for chunk in chunks):
        raise BeamfleetError(
            f"column {name!r} holds raw bytes, and its Parquet file does not say how many rows "
            "have some: write it with statistics, or as a column of text"
        )
    return sum(chunk.num_values - chunk.statistics.null_count for chunk in chunks)


def write_statistics(statistics: "DatasetFeatureStatisticsList", folder: str) -> None:
    """Writes the statistics of one split where TFDV and the stock components look for them."""
    write_whole(f"{folder}/{STATISTICS_FILE}", statistics.SerializeToString())
