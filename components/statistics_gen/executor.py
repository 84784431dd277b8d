"""Executor of StatisticsGen."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.examples.read import ExamplesSplit
from components.statistics_gen.compute import compute_statistics, write_statistics

_PARQUET = "FORMAT_PARQUET"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Translates Examples into ExampleStatistics."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [examples] = input_dict["examples"]
        [statistics] = output_dict["statistics"]
        if examples.get_string_custom_property("payload_format") != _PARQUET:
            self._run_stock(input_dict, output_dict)
            return
        schema = _read_schema(input_dict)
        statistics.split_names = examples.split_names
        statistics.span = examples.span
        for split in artifact_utils.decode_split_names(examples.split_names):
            result = compute_statistics(ExamplesSplit(examples.uri, split), schema)
            write_statistics(result, artifact_utils.get_split_uri([statistics], split))

    def _run_stock(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
    ) -> None:
        """tf.Examples have to be decoded by TFXIO: nothing is gained over the stock executor."""
        from tfx.components.statistics_gen.executor import Executor as StockExecutor

        StockExecutor(self._context).Do(input_dict, output_dict, {})


def _read_schema(input_dict: dict[str, list[types.Artifact]]) -> Any:
    if not input_dict.get("schema"):
        return None
    uri = artifact_utils.get_single_uri(input_dict["schema"])
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(uri))
