"""Executor of the Pusher."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types.artifact_utils import get_single_instance

from components.outside import Given
from components.pusher.push import Blessing, Candidate, Outcome, push_blessed, write_outcome
from components.pusher.state import candidate_uri

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
        outcome = push_blessed(
            _candidate(model, int(exec_properties["baseline_version"])),
            exec_properties["push_destination"],
            int(exec_properties["keep_versions"]),
            blessings,
        )
        write_outcome(pushed_model.uri, outcome)
        _record(outcome, pushed_model)


def _candidate(model: types.Artifact, baseline_version: int) -> Candidate:
    # What it was composed over is what counts; another version may have been pushed meanwhile.
    if model.has_custom_property("baseline_version"):
        baseline_version = model.get_int_custom_property("baseline_version")
    return Candidate(model.uri, candidate_uri(Given.of(model.mlmd_artifact)), baseline_version)


def _blessing(name: str, artifact: types.Artifact) -> Blessing:
    reason = artifact.get_string_custom_property("reason") or f"no reason given, see {artifact.uri}"
    return Blessing(name, artifact.get_int_custom_property("blessed") == 1, reason)


def _record(outcome: Outcome, pushed_model: types.Artifact) -> None:
    # The first three under the names of the stock Pusher.
    pushed_model.set_int_custom_property("pushed", int(outcome.pushed))
    pushed_model.set_string_custom_property("pushed_destination", outcome.destination)
    pushed_model.set_string_custom_property("pushed_version", str(outcome.version))
    pushed_model.set_int_custom_property("version", outcome.version)
    pushed_model.set_string_custom_property("reason", outcome.reason)
