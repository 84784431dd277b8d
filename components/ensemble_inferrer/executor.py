"""Executor of the EnsembleInferrer."""

import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor

from components.ensemble.bundle import Bundle
from components.ensemble_inferrer.infer import InferredModel, Summary, infer
from components.examples.artifact import splits_of
from components.files import write_json
from components.pusher.versions import PushedVersions


class Executor(base_beam_executor.BaseBeamExecutor):
    """Translates artifacts into an inference."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [result] = output_dict["inference_result"]
        model = _model(input_dict, exec_properties)
        if model is None:
            reason = f"nothing was pushed to {exec_properties['push_destination']} yet"
            result.set_int_custom_property("rows", 0)
            result.set_string_custom_property("skipped", reason)
            write_json(f"{result.uri}/summary.json", {"images": 0, "skipped": reason})
            return
        summary = infer(
            self._make_beam_pipeline,
            [split for artifact in input_dict["examples"] for split in splits_of(artifact)],
            model,
            result.uri,
            json.loads(exec_properties["columns"]),
            float(exec_properties["max_failed_share"]),
        )
        _record(summary, result)


def _model(
    input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
) -> InferredModel | None:
    if not exec_properties["push_destination"]:
        [model] = input_dict["model"]
        return InferredModel(model.uri, Bundle(model.uri).ensemble())
    number = int(exec_properties["model_version"])
    if not number:
        return None
    version = PushedVersions(exec_properties["push_destination"]).version(number)
    return InferredModel(version.path, Bundle(version.path).ensemble(), version.number)


def _record(summary: Summary, result: types.Artifact) -> None:
    # The names that the BulkInferrer's result has.
    result.set_int_custom_property("rows_in", summary.images_in)
    result.set_int_custom_property("rows", summary.images)
    result.set_int_custom_property("rows_failed", summary.images_failed)
    result.set_int_custom_property("model_version", summary.model_version)
