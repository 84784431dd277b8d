"""Executor of the BulkInferrer."""

import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor

from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.infer import ServedModel, Summary, infer
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
            place = exec_properties["push_destination"]
            reason = f"nothing was pushed to {place} yet" if place else "no model was blessed yet"
            result.set_int_custom_property("rows", 0)
            result.set_string_custom_property("skipped", reason)
            write_json(f"{result.uri}/summary.json", {"rows": 0, "skipped": reason})
            return
        splits = [split for artifact in input_dict["examples"] for split in splits_of(artifact)]
        config = inference_config(exec_properties["config"])
        _record(infer(self._make_beam_pipeline, splits, model, result.uri, config), result)


def inference_config(text: str) -> InferenceConfig:
    """Reads the JSON object that the component writes into its parameter `config`."""
    values = json.loads(text)
    for name in ("output_columns", "private_columns"):
        values[name] = tuple(values[name])
    return InferenceConfig(**values)


def _model(
    input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
) -> ServedModel | None:
    if not exec_properties["push_destination"]:
        models = input_dict.get("model")  # none where no run has blessed one
        return ServedModel(models[0].uri) if models else None
    number = int(exec_properties["model_version"])
    if not number:
        return None
    version = PushedVersions(exec_properties["push_destination"]).version(number)
    return ServedModel(version.path, version.number)


def _record(summary: Summary, result: types.Artifact) -> None:
    for name in ("rows_in", "rows", "rows_failed", "rows_fallback", "model_version"):
        result.set_int_custom_property(name, getattr(summary, name))
