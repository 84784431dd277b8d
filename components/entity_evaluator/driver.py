"""Makes the version that is pushed part of the cache key."""

from components.entity_evaluator.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `baseline_version`: against another pushed version the verdicts are others."""

    state = staticmethod(state)
