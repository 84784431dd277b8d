"""Executor of ExampleValidator."""

import json
import logging
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.errors import BeamfleetError
from components.example_validator.validate import (
    Anomaly,
    SplitStatistics,
    distances,
    list_anomalies,
    validate_split,
    with_comparators,
)
from components.statistics_gen.compute import STATISTICS_FILE

_SHOWN, _KEPT = 10, 100
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
        drift, skew = (json.loads(exec_properties.get(name) or "{}") for name in ("drift", "skew"))
        schema = with_comparators(schema, drift, skew)
        artifact.split_names = statistics.split_names
        artifact.span = statistics.span
        found: dict[str, list[Anomaly]] = {}
        measured: dict[str, dict[str, dict[str, float]]] = {}
        for split in artifact_utils.decode_split_names(statistics.split_names):
            compared = SplitStatistics(
                _file([statistics], split),
                _file(input_dict.get("previous_statistics", []), split),
                _only_file(input_dict.get("serving_statistics", [])),
            )
            folder = artifact_utils.get_split_uri([artifact], split)
            anomalies = validate_split(compared, schema, folder)
            found[split], measured[split] = list_anomalies(split, anomalies), distances(anomalies)
        _record(found, artifact)
        artifact.set_string_custom_property("distances", json.dumps(measured, sort_keys=True))
        if drift and not any(
            "drift" in one for split in measured.values() for one in split.values()
        ):
            artifact.set_string_custom_property("notes", "no drift: there is no span before")
        _report(found, artifact.uri, exec_properties["on_anomaly"])


def _file(statistics: list[types.Artifact], split: str) -> str:
    """The statistics of a split; empty where there are none."""
    if not statistics or split not in artifact_utils.decode_split_names(statistics[0].split_names):
        return ""
    return f"{artifact_utils.get_split_uri(statistics, split)}/{STATISTICS_FILE}"


def _only_file(statistics: list[types.Artifact]) -> str:
    """The statistics of the first split, whatever its name."""
    if not statistics:
        return ""
    [name, *_] = artifact_utils.decode_split_names(statistics[0].split_names)
    return _file(statistics, name)


def _record(found: dict[str, list[Anomaly]], artifact: types.Artifact) -> None:
    # `blessed` is what the stock ExampleValidator sets.
    blessed = {split: int(not anomalies) for split, anomalies in found.items()}
    artifact.set_json_value_custom_property("blessed", blessed)
    lines = [str(anomaly) for anomalies in found.values() for anomaly in anomalies]
    artifact.set_int_custom_property("anomalies", len(lines))
    artifact.set_json_value_custom_property("found", lines[:_KEPT])


def _report(found: dict[str, list[Anomaly]], uri: str, on_anomaly: str) -> None:
    lines = [str(anomaly) for anomalies in found.values() for anomaly in anomalies]
    if not lines:
        return
    shown = "\n  ".join([*lines[:_SHOWN], *(["..."] if len(lines) > _SHOWN else [])])
    message = f"{len(lines)} anomalies, written to {uri}:\n  {shown}"
    if on_anomaly == "stop":
        raise BeamfleetError(
            f"{message}\nMend the data or the schema, or validate with on_anomaly='warn'"
        )
    _LOG.warning(message)
