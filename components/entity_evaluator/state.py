"""The pushed version that a candidate is compared with."""

from components.outside import Inputs, Parameters, State
from components.pusher.versions import PushedVersions


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The baseline.

    Raises:
      BeamfleetError: the pushed directory is broken.
    """
    destination = parameters["push_destination"]
    versions = PushedVersions(destination) if destination else None
    baseline = versions.baseline_for(*(m.uri for m in inputs["model"])) if versions else 0
    return {"baseline_version": baseline}
