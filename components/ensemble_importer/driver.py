"""Makes what the folders and revisions hold part of the cache key."""

from components.ensemble_importer.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `sources`: each model with its commit on the hub, or with the hash of its files."""

    state = staticmethod(state)
