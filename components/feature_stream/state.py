"""What a stream remembers of one key."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from components.feature_stream.codec import decoded, encoded

BEFORE = -(1 << 62)
"""Before all times, in microseconds."""


class Event(NamedTuple):
    """A keyed event without its key; times are microseconds since 1970, UTC."""

    time: int
    created: int
    id: str | None
    values: tuple[Any, ...]
    """Of the columns of `value_columns`, in order."""


def order(event: Event) -> tuple[Any, ...]:
    """The order of the events of a key: nulls come first, NaN last."""
    values = tuple(_orderable(value) for value in event.values)
    return event.time, event.created, _orderable(event.id), values


def _orderable(value: Any) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if isinstance(value, float) and value != value:
        return (2,)
    return 1, repr(value) if isinstance(value, dict | list) else value


@dataclass
class KeyState:
    """Events of a key that later ones may still have to be seen with, and a sum of the rest."""

    events: list[Event] = field(default_factory=list)
    """In order."""
    base: tuple[Any, ...] | None = None
    """A state for each aggregator: of the events that came before these and still count, but that
    no later one can come before."""
    last: int = BEFORE
    """Event time of the last event in `base`."""
    created: int = BEFORE
    """The greatest created of all events that are no longer in `events`."""
    clock: int = BEFORE
    """All change points up to this watermark have been said."""

    def to_bytes(self) -> bytes:
        """JSON, without code in it."""
        events = [list(event) for event in self.events]
        return encoded([events, self.base, self.last, self.created, self.clock])

    @classmethod
    def from_bytes(cls, content: bytes) -> "KeyState":
        """What `to_bytes` wrote."""
        events, *rest = decoded(content)
        return cls([Event(*event) for event in events], *rest)
