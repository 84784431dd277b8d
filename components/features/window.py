"""Which events a value is about: for how long each counts."""

from dataclasses import dataclass, field

from components.errors import BeamfleetError
from components.features.durations import Duration, as_text, microseconds


@dataclass(frozen=True)
class Window:
    """What the windows share: how late an event may come.

    `lateness`: A stream takes an event that comes up to this long behind the watermark, and
    corrects what it said; later ones are counted and kept apart. A backfill takes all.
    """

    lateness: Duration = field(default="0s", kw_only=True)

    @property
    def lateness_us(self) -> int:
        """In microseconds."""
        return microseconds(self.lateness, "lateness")

    def __post_init__(self) -> None:
        _ = self.lateness_us  # refuses nonsense

    def __str__(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class Rolling(Window):
    """value(t) is about the events in (t - size, t]."""

    size: Duration

    @property
    def size_us(self) -> int:
        """In microseconds."""
        return _positive(self.size, "size of Rolling")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.size_us

    def __str__(self) -> str:
        return f"Rolling {as_text(self.size_us)}"


@dataclass(frozen=True)
class Tumbling(Window):
    """value(t) is about the last whole window [k size, (k + 1) size) that has ended by t.

    Windows are counted from 1970-01-01T00:00Z. An event counts from the end of its window until
    the next one ends.
    """

    size: Duration

    @property
    def size_us(self) -> int:
        """In microseconds."""
        return _positive(self.size, "size of Tumbling")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.size_us

    def __str__(self) -> str:
        return f"Tumbling {as_text(self.size_us)}"


@dataclass(frozen=True)
class Session(Window):
    """value(t) is about the session that goes on at t, none if there is none.

    An event that comes less than `gap` after the one before belongs to the same session. All events
    of a session stop to count `gap` after its last.
    """

    gap: Duration

    @property
    def gap_us(self) -> int:
        """In microseconds."""
        return _positive(self.gap, "gap of Session")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.gap_us

    def __str__(self) -> str:
        return f"Session {as_text(self.gap_us)}"


@dataclass(frozen=True)
class Lifetime(Window):
    """value(t) is about all events up to and with t."""


def _positive(duration: Duration, what: str) -> int:
    length = microseconds(duration, what)
    if length == 0:
        raise BeamfleetError(f"{what} is {duration}, expected more than nothing")
    return length
