"""What happens to a node while a pipeline runs."""

from dataclasses import dataclass
from typing import Protocol

STARTED = "running"
DONE = "done"
CACHED = "cached"
FAILED = "failed"
SKIPPED = "skipped"
CONDITION = "its condition does not hold"
"""Why a node was skipped that left nothing in ML Metadata."""


@dataclass(frozen=True)
class NodeEvent:
    """A change of a node's state."""

    node: str
    state: str
    """STARTED, DONE, CACHED, FAILED or SKIPPED."""
    seconds: float = 0.0
    """Since the node started."""
    reason: str = ""
    """Why a node was skipped, if it says so."""


class Observer(Protocol):
    """Gets the events of a run, in order."""

    def nodes(self, names: list[str]) -> None:
        """The nodes that are going to run, in the order of their first chance."""

    def on(self, event: NodeEvent) -> None:
        """One event."""
