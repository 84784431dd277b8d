"""Runs the Evaluator."""

import json
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
from components.errors import BeamfleetError
from components.evaluator.current import CurrentModel
from components.evaluator.evaluate import EvaluationTask, evaluate
from components.saved_model.copy import copy_saved_model
from components.saved_model.layout import FORMAT_SERVING


class Executor(base_beam_executor.BaseBeamExecutor):
    """Translates artifacts into an evaluation, and its result into properties."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        models = _by_name(input_dict["model"])
        graph = input_dict.get("transform_graph")
        [evaluation] = output_dict["evaluation"]
        [blessing] = output_dict["blessing"]
        config = config_of(exec_properties)
        baseline = int(exec_properties.get("baseline_version") or 0)
        task = EvaluationTask(
            examples=evaluated_split(examples, config.eval_split),
            candidates={name: model.uri for name, model in models.items()},
            current=_current(exec_properties["push_destination"], baseline, input_dict),
            graph_uri=artifact_utils.get_single_uri(graph) if graph else None,
            evaluation_uri=evaluation.uri,
            expected_rows=expected_rows(examples, config.eval_split),
        )
        found = evaluate(task, config, self._make_beam_pipeline)
        record_evaluation(evaluation, found.result, config)
        evaluation.set_int_custom_property("baseline_version", baseline)
        evaluation.set_string_custom_property("chosen", found.chosen)
        for chosen in output_dict.get("chosen_model", []):
            _keep(found.chosen, models, chosen, baseline)
        bless(blessing, found.result, models[found.chosen])


def _by_name(models: list[types.Artifact]) -> dict[str, types.Artifact]:
    """Candidates by their names, in the order of these."""
    named = {model.get_string_custom_property("candidate"): model for model in models}
    if len(named) < len(models):
        raise BeamfleetError(
            f"{len(models)} candidates have only {len(named)} names ({', '.join(sorted(named))}): "
            "give each Trainer a candidate= of its own"
        )
    return dict(sorted(named.items()))


def _current(
    destination: str, version: int, input_dict: dict[str, list[types.Artifact]]
) -> CurrentModel | None:
    if (pushed := pushed_uri(destination, version)) is not None:
        return CurrentModel("pushed", pushed, version)
    blessed = input_dict.get("baseline_model")
    return CurrentModel("blessed", artifact_utils.get_single_uri(blessed)) if blessed else None


def _keep(
    name: str, models: dict[str, types.Artifact], chosen: types.Artifact, baseline: int
) -> None:
    """Copies the chosen model, under the names that the Pusher knows composed models by."""
    model = models[name]
    rivals = [other.uri for other in models.values() if other is not model]
    copy_saved_model(model.uri, f"{chosen.uri}/{FORMAT_SERVING}")
    chosen.set_string_custom_property("candidate", name)
    chosen.set_string_custom_property("candidate_uri", model.uri)
    chosen.set_string_custom_property("rivals", json.dumps(rivals))
    chosen.set_int_custom_property("baseline_version", baseline)
