"""Decides which pushed version predicts, and makes it part of the cache key."""

from components.bulk_inferrer.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `model_version`: the current version, or 0 if there is none or none is asked for."""

    state = staticmethod(state)
