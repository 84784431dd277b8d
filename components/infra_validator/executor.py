"""Translates TFX's artifacts for the probe."""

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.examples.read import ExamplesSplit, read_batches
from components.infra_validator.probe import probe
from components.infra_validator.report import Gates, Report, default_gates, with_limits
from components.model_server.servable import is_ensemble

LOG = logging.getLogger("beamfleet.infra_validator")
_EVAL = "eval"
_BATCH_ROWS = 65_536


class Executor(base_executor.BaseExecutor):
    """Writes report.json and a marker; a model that is not blessed does not fail the node."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        model = artifact_utils.get_single_instance(input_dict["model"])
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        payload = examples_utils.get_payload_format_string(examples)
        name = exec_properties.get("split") or _only_split(examples)
        limits = {field.name: exec_properties.get(field.name) for field in fields(Gates)}
        gates = with_limits(default_gates(model.uri), limits)
        # Images are large: no more of them at a time than are asked about.
        batch_rows = gates.requests if is_ensemble(model.uri) else _BATCH_ROWS
        batches = read_batches(ExamplesSplit(examples.uri, name, payload), batch_rows=batch_rows)
        _publish(probe(model.uri, batches, gates), blessing)


def _only_split(examples: types.Artifact) -> str:
    """`eval`, or the one that there is."""
    names: list[str] = artifact_utils.decode_split_names(examples.split_names)
    if _EVAL not in names and len(names) == 1:
        return names[0]
    return _EVAL


def _publish(report: Report, blessing: types.Artifact) -> None:
    folder = Path(blessing.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
    (folder / ("INFRA_BLESSED" if report.blessed else "INFRA_NOT_BLESSED")).touch()
    blessing.set_int_custom_property("blessed", int(report.blessed))
    for part in (report.startup, report.requests, report.memory):
        for name in ("startup_s", "import_s", "p50_ms", "p99_ms", "rss_mb"):
            if name in part:
                blessing.set_float_custom_property(name, float(part[name]))
    if not report.blessed:
        reason = "; ".join(report.reasons)
        blessing.set_string_custom_property("reason", reason)
        LOG.warning("not blessed for serving: %s", reason)
