"""Executor of ExampleValidator."""

import logging
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.errors import BeamfleetError
from components.example_validator.validate import Anomaly, list_anomalies, validate_split
from components.statistics_gen.compute import STATISTICS_FILE

_SHOWN = 10
_LOG = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Translates ExampleStatistics and Schema into ExampleAnomalies."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [statistics] = input_dict["statistics"]
        [artifact] = output_dict["anomalies"]
        schema_folder = artifact_utils.get_single_uri(input_dict["schema"])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_folder))
        artifact.split_names = statistics.split_names
        artifact.span = statistics.span
        found: dict[str, list[Anomaly]] = {}
        for split in artifact_utils.decode_split_names(statistics.split_names):
            statistics_folder = artifact_utils.get_split_uri([statistics], split)
            folder = artifact_utils.get_split_uri([artifact], split)
            statistics_file = f"{statistics_folder}/{STATISTICS_FILE}"
            found[split] = list_anomalies(split, validate_split(statistics_file, schema, folder))
        _record(found, artifact)
        _report(found, artifact.uri, exec_properties["on_anomaly"])


def _record(found: dict[str, list[Anomaly]], artifact: types.Artifact) -> None:
    # `blessed` is what the stock ExampleValidator sets.
    blessed = {split: int(not anomalies) for split, anomalies in found.items()}
    artifact.set_json_value_custom_property("blessed", blessed)
    artifact.set_int_custom_property("anomalies", sum(map(len, found.values())))


def _report(found: dict[str, list[Anomaly]], uri: str, on_anomaly: str) -> None:
    lines = [str(anomaly) for anomalies in found.values() for anomaly in anomalies]
    if not lines:
        return
    shown = "\n  ".join([*lines[:_SHOWN], *(["..."] if len(lines) > _SHOWN else [])])
    message = f"{len(lines)} anomalies against the schema, written to {uri}:\n  {shown}"
    if on_anomaly == "stop":
        raise BeamfleetError(
            f"{message}\nMend the data or the schema, or validate with on_anomaly='warn'"
        )
    _LOG.warning(message)
