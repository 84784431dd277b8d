"""Makes definitions, data and the store part of the cache key."""

from components.feature_computer.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `definition_fingerprint`, `data_fingerprint` and `store_id`."""

    state = staticmethod(state)
