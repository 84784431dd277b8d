"""Makes definitions, histories and streams part of the cache key."""

from components.feature_streamer.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `definition_fingerprint`, `data_fingerprint`, `stream_fingerprint`, `store_id` and
    `online_id`.
    """

    state = staticmethod(state)
