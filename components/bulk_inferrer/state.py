"""The pushed version that predicts."""

from components.outside import Inputs, Parameters, State
from components.pusher.versions import PushedVersions


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The current version.

    Raises:
      BeamfleetError: the pushed directory is broken.
    """
    destination = parameters["push_destination"]
    current = PushedVersions(destination).current() if destination else None
    return {"model_version": current.number if current else 0}
