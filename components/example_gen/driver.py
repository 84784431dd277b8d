"""Makes the state of the input files part of the cache key."""

from components.example_gen.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `input_fingerprint`, `clean_fingerprint` and, where paths hold one, `span`."""

    state = staticmethod(state)
