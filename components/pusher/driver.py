"""Makes the state of the pushed directory part of the cache key."""

from components.pusher.state import state
from components.state_driver import StateDriver


class Driver(StateDriver):
    """Sets `baseline_version`, `directory_id` and `running_split`.

    With another version in service, or another directory in the old one's place, the push is a new
    decision; so it is once the split that kept it from being pushed has ended.
    """

    state = staticmethod(state)
