"""The state of the pushed directory."""

import json

from components.outside import Given, Inputs, Parameters, State
from components.pusher.splits import running_split
from components.pusher.versions import PushedVersions


def candidate_uri(model: Given) -> str:
    """The trainer's model behind a composed one; a model that was not composed is its own."""
    return model.words.get("candidate_uri") or model.uri


def rivals(model: Given) -> tuple[str, ...]:
    """The other trainers' models that it was chosen from."""
    return tuple(json.loads(model.words.get("rivals") or "[]"))


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The version that the push is decided against, which directory it is, and what runs in it.

    Raises:
      BeamfleetError: the directory cannot be used.
    """
    [model] = inputs["model"]
    versions = PushedVersions(parameters["push_destination"])
    candidate = candidate_uri(model)
    return {
        "baseline_version": versions.baseline_for(candidate, *rivals(model)),
        "running_split": running_split(versions.directory, candidate),
        "directory_id": versions.directory_id(),
    }
