"""Runs the Evaluator."""

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
from components.entity_evaluator.parameters import config_of
from components.evaluator.evaluate import EvaluationTask, evaluate


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
        graph = input_dict.get("transform_graph")
        [evaluation] = output_dict["evaluation"]
        [blessing] = output_dict["blessing"]
        config = config_of(exec_properties)
        baseline = int(exec_properties.get("baseline_version") or 0)
        task = EvaluationTask(
            examples=evaluated_split(examples, config.eval_split),
            candidate_uri=model.uri,
            pushed_uri=pushed_uri(exec_properties["push_destination"], baseline),
            graph_uri=artifact_utils.get_single_uri(graph) if graph else None,
            evaluation_uri=evaluation.uri,
            expected_rows=expected_rows(examples, config.eval_split),
        )
        result = evaluate(task, config, self._make_beam_pipeline)
        record_evaluation(evaluation, result, config)
        evaluation.set_int_custom_property("baseline_version", baseline)
        bless(blessing, result, model)
