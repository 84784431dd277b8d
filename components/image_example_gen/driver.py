"""Makes the state of the images part of the cache key."""

from components.image_example_gen.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `input_fingerprint`, and `fetch` where only fetching shows what there is."""

    state = staticmethod(state)
