"""Executor of the Pusher."""

import json
import shlex
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types.artifact_utils import get_single_instance

from components.outside import Given
from components.pusher.push import (
    Blessing,
    Candidate,
    Outcome,
    PushRequest,
    objection,
    push_now,
    wait_for_approval,
    write_outcome,
)
from components.pusher.state import candidate_uri, rivals
from components.pusher.traffic import traffic_plan

_NAMES = {"model_blessing": "model", "infra_blessing": "infrastructure"}


class Executor(base_executor.BaseExecutor):
    """Translates artifacts into a push."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [model] = input_dict["model"]
        [pushed_model] = output_dict["pushed_model"]
        blessings = [
            _blessing(name, get_single_instance(input_dict[key]))
            for key, name in _NAMES.items()
            if input_dict.get(key)
        ]
        request = _request(model, exec_properties)
        outcome = objection(request, blessings)
        root = exec_properties["approval_root"]
        if outcome is None and root:
            outcome, request = wait_for_approval(request, self._command(root))
        write_outcome(pushed_model.uri, outcome := outcome or push_now(request))
        _record(outcome, pushed_model)
        if outcome.waits:
            pushed_model.set_string_custom_property("approval", "waits")
            pushed_model.set_string_custom_property("approval_request", request.to_json())

    def _command(self, root: str) -> str:
        run = (self._context.pipeline_run_id if self._context else None) or "RUN"
        return f"beamfleet approve {run} --root {shlex.quote(root)} --why ..."


def _request(model: types.Artifact, exec_properties: dict[str, Any]) -> PushRequest:
    # What it was composed over is what counts; another version may have been pushed meanwhile.
    if model.has_custom_property("baseline_version"):
        baseline = model.get_int_custom_property("baseline_version")
    else:
        baseline = int(exec_properties["baseline_version"])
    traffic = exec_properties["traffic"]
    given = Given.of(model.mlmd_artifact)
    return PushRequest(
        Candidate(model.uri, candidate_uri(given), baseline, rivals(given)),
        exec_properties["push_destination"],
        int(exec_properties["keep_versions"]),
        traffic_plan(**json.loads(traffic)) if traffic else None,
    )


def _blessing(name: str, artifact: types.Artifact) -> Blessing:
    reason = artifact.get_string_custom_property("reason") or f"no reason given, see {artifact.uri}"
    return Blessing(name, artifact.get_int_custom_property("blessed") == 1, reason)


def _record(outcome: Outcome, pushed_model: types.Artifact) -> None:
    """Says it in the artifact's properties; the first three have the names of the stock Pusher."""
    pushed_model.set_int_custom_property("pushed", int(outcome.pushed))
    pushed_model.set_string_custom_property("pushed_destination", outcome.destination)
    pushed_model.set_string_custom_property("pushed_version", str(outcome.version))
    pushed_model.set_int_custom_property("version", outcome.version)
    pushed_model.set_string_custom_property("reason", outcome.reason)
    pushed_model.set_string_custom_property("label", outcome.label)
