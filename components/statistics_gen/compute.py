"""Computes TFDV statistics of a Parquet split, streaming, without Beam."""

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

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

    Args:
      examples: a split in Parquet.
      schema: tells which whole numbers are categories.

    Raises:
      BeamfleetError: the split has no file.
    """
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics import stats_impl

    generators: list[Any] = stats_impl.get_generators(
        tfdv.StatsOptions(schema=schema), in_memory=True
    )
    partial = [generator.create_accumulator() for generator in generators]
    for found in split_files(examples):
        with FileSystems.open(found.path) as file:
            for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS):
                partial = [g.add_input(p, batch) for g, p in zip(generators, partial, strict=True)]
    return stats_impl.extract_statistics_output(partial, generators)


def write_statistics(statistics: "DatasetFeatureStatisticsList", folder: str) -> None:
    """Writes the statistics of one split where TFDV and the stock components look for them."""
    write_whole(f"{folder}/{STATISTICS_FILE}", statistics.SerializeToString())
