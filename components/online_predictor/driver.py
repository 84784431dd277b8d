"""Makes the pushed version and the rows part of the cache key."""

from components.online_predictor.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `model_version` and `input_fingerprint`."""

    state = staticmethod(state)
