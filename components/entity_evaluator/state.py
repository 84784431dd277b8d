"""The pushed version that a candidate is compared with."""

from components.outside import Inputs, Parameters, State
from components.pusher.versions import PushedVersions


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The baseline.

    Raises:
      BeamfleetError: the pushed directory is broken.
    """
    destination = parameters["push_destination"]
    model = inputs["model"].uri
    return {
        "baseline_version": PushedVersions(destination).baseline_for(model) if destination else 0
    }
