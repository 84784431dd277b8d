"""Runs the EntityEvaluator."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.entity_evaluator.artifacts import (
    bless,
    evaluated_split,
    expected_rows,
    pushed_uri,
    record_evaluation,
)
from components.entity_evaluator.evaluate import EvaluationTask, evaluate
from components.entity_evaluator.parameters import config_of


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
        config = config_of(exec_properties)
        baseline = int(exec_properties.get("baseline_version") or 0)
        task = EvaluationTask(
            examples=evaluated_split(examples, config.eval_split),
            candidate_uri=model.uri,
            pushed_uri=pushed_uri(exec_properties["push_destination"], baseline),
            evaluation_uri=evaluation.uri,
            composed_uri=composed.uri,
            expected_rows=expected_rows(examples, config.eval_split),
        )
        result = evaluate(task, config, self._make_beam_pipeline)
        record_evaluation(evaluation, result, config)
        composed.set_string_custom_property("candidate_uri", model.uri)
        composed.set_int_custom_property("baseline_version", baseline)
        bless(blessing, result, model)
