"""Runs the EntityEvaluator."""

import json
from typing import Any

from tfx import types
from tfx.components.util.examples_utils import get_payload_format_string
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.evaluate import EvaluationResult, EvaluationTask, evaluate
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from components.pusher.versions import PushedVersions

STRUCTURES = ("metrics", "thresholds", "slices", "fairness")
"""Parameters that travel as JSON."""
NUMBERS_AND_WORDS = (
    "confidence",
    "min_eval_rows",
    "eval_split",
    "positive_label",
    "max_failed_share",
)


class Executor(base_beam_executor.BaseBeamExecutor):
    """Translates artifacts into an evaluation, and its result into properties."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        [evaluation] = output_dict["evaluation"]
        [blessing] = output_dict["blessing"]
        [composed] = output_dict["composed_model"]
        config = EvaluationConfig.from_dict(
            {name: json.loads(exec_properties[name]) for name in STRUCTURES}
            | {name: exec_properties[name] for name in NUMBERS_AND_WORDS}
        )
        baseline = int(exec_properties.get("baseline_version") or 0)
        task = EvaluationTask(
            examples=_split(examples, config.eval_split),
            candidate_uri=model.uri,
            pushed_uri=_pushed_uri(exec_properties["push_destination"], baseline),
            evaluation_uri=evaluation.uri,
            composed_uri=composed.uri,
            expected_rows=_expected_rows(examples, config.eval_split),
        )
        result = evaluate(task, config, self._make_beam_pipeline)
        _record_evaluation(evaluation, result, config)
        composed.set_string_custom_property("candidate_uri", model.uri)
        composed.set_int_custom_property("baseline_version", baseline)
        _bless(blessing, result, model)


def _split(examples: types.Artifact, split: str) -> ExamplesSplit:
    names = artifact_utils.decode_split_names(examples.split_names)
    if split not in names:
        raise BeamfleetError(f"{examples.uri} has no split {split!r} to evaluate on, only {names}")
    return ExamplesSplit(examples.uri, split, get_payload_format_string(examples))


def _expected_rows(examples: types.Artifact, split: str) -> int | None:
    name = f"rows_{split}"
    has = examples.has_custom_property(name)
    return examples.get_int_custom_property(name) if has else None


def _pushed_uri(destination: str, baseline: int) -> str | None:
    return PushedVersions(destination).version(baseline).path if baseline else None


def _record_evaluation(
    evaluation: types.Artifact, result: EvaluationResult, config: EvaluationConfig
) -> None:
    for name, count in result.counts.items():
        evaluation.set_int_custom_property(name, count)
    evaluation.set_float_custom_property("confidence", config.confidence)
    evaluation.set_string_custom_property("overall", json.dumps(result.overall, sort_keys=True))
    evaluation.set_string_custom_property("notes", "; ".join(result.notes))


def _bless(blessing: types.Artifact, result: EvaluationResult, model: types.Artifact) -> None:
    """Writes what the stock Evaluator writes, and the reason."""
    reason = "; ".join(result.objections)
    if result.unchanged:
        reason = "; ".join(part for part in ("identical to what is pushed", reason) if part)
    name = "BLESSED" if result.blessed else "NOT_BLESSED"
    io_utils.write_string_file(f"{blessing.uri}/{name}", reason)
    blessing.set_int_custom_property("blessed", int(result.blessed))
    blessing.set_int_custom_property("unchanged", int(result.unchanged))
    blessing.set_string_custom_property("reason", reason)
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
