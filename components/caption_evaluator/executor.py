"""Executor of the CaptionEvaluator."""

import json
from dataclasses import asdict
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types.artifact_utils import get_single_instance
from tfx.utils import io_utils

from components.caption_evaluator.analyze import analyze_images
from components.caption_evaluator.config import CaptionEvaluationConfig
from components.caption_evaluator.evaluate import (
    CaptionEvaluation,
    CaptionEvaluationTask,
    evaluate,
)
from components.pusher.stores import open_store
from components.pusher.versions import PushedVersions


class Executor(base_beam_executor.BaseBeamExecutor):
    """Translates artifacts into an evaluation, and its result into properties."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        model = get_single_instance(input_dict["model"])
        baseline = input_dict.get("baseline_result")
        [evaluation] = output_dict["evaluation"]
        [blessing] = output_dict["blessing"]
        config = CaptionEvaluationConfig.from_dict(
            {name: json.loads(exec_properties[name]) for name in ("thresholds", "slices")}
            | {"confidence": exec_properties["confidence"]}
        )
        version = int(exec_properties.get("baseline_version") or 0)
        task = CaptionEvaluationTask(
            result_uri=get_single_instance(input_dict["inference_result"]).uri,
            evaluation_uri=evaluation.uri,
            baseline_uri=get_single_instance(baseline).uri if baseline else None,
            baseline_version=version,
        )
        result = evaluate(task, config)
        analyze_images(result.images, result.slicings, evaluation.uri, self._make_beam_pipeline)
        record(evaluation, result, config, version)
        unchanged = _is_unchanged(model.uri, exec_properties["push_destination"], version)
        _bless(blessing, result, unchanged, model)


def record(
    evaluation: types.Artifact,
    result: CaptionEvaluation,
    config: CaptionEvaluationConfig,
    version: int,
) -> None:
    """Sets the custom properties that the component names."""
    for name, number in {**result.counts, "baseline_version": version}.items():
        evaluation.set_int_custom_property(name, number)
    evaluation.set_float_custom_property("confidence", config.confidence)
    evaluation.set_string_custom_property("overall", json.dumps(result.overall, sort_keys=True))
    intervals = json.dumps(result.intervals, sort_keys=True)
    evaluation.set_string_custom_property("intervals", intervals)
    ranking = asdict(result.ranking) if result.ranking else None
    evaluation.set_string_custom_property("ranking", json.dumps(ranking, sort_keys=True))
    evaluation.set_string_custom_property("notes", "; ".join(result.notes))


def _is_unchanged(model_uri: str, destination: str, version: int) -> bool:
    """Whether the very same ensemble is pushed."""
    if not version:
        return False
    pushed = PushedVersions(destination).version(version)
    return open_store(model_uri).fingerprint == str(pushed.details["store_fingerprint"])


def _bless(
    blessing: types.Artifact, result: CaptionEvaluation, unchanged: bool, model: types.Artifact
) -> None:
    """Writes what the stock Evaluator writes, and the reason."""
    reasons = ["identical to what is pushed"] if unchanged else []
    reason = "; ".join([*reasons, *result.objections])
    name = "BLESSED" if result.blessed else "NOT_BLESSED"
    io_utils.write_string_file(f"{blessing.uri}/{name}", reason)
    blessing.set_int_custom_property("blessed", int(result.blessed))
    blessing.set_int_custom_property("unchanged", int(unchanged))
    blessing.set_string_custom_property("reason", reason)
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
