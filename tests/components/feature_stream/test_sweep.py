"""A stream says, in the end, what a look at its whole history says."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.feature_stream.state import BEFORE, Event, KeyState
from components.feature_stream.sweep import Sweep
from components.features.window import Window
from tests.components.feature_stream.streams import (
    Arrival,
    Streamed,
    arrivals,
    by_definition,
    streamed,
    view_of,
    windows,
)

MANY = settings(
    max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def check(sweep: Sweep, window: Window, stream: list[Arrival], exact: bool) -> Streamed:
    """The property."""
    view = view_of(window)
    made = streamed(sweep, stream, exact)
    expected = by_definition(view, made.counted)
    assert made.written.keys() == expected.keys()
    for place, change in expected.items():
        assert made.written[place][:2] == change[:2], place
        assert same(made.written[place].features, change.features), place
    _check_late(window, stream, made, exact)
    given = [one for one in stream if one.event is not None]
    assert len(given) == len(made.counted) + len(made.late)
    identities = [(k, e.time, e.id) for k, e in made.counted if e.id is not None]
    assert made.duplicates == len(identities) - len(set(identities))
    return made


def _check_late(window: Window, stream: list[Arrival], made: Streamed, exact: bool) -> None:
    """Late is only what came too far behind the watermark; if that is known, all of it."""
    clock, late = BEFORE, []
    for one in stream:
        clock = max(clock, one.watermark)
        if one.event is not None and one.event.time < clock - window.lateness_us:
            late.append((one.key, one.event))
    remaining = list(late)
    for one in made.late:
        remaining.remove(one)
    assert not (exact and remaining)


def same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    pairs = list(zip(left, right, strict=True))
    return all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) if isinstance(b, float) and a is not None
        else a == b
        for a, b in pairs
    )  # fmt: skip


@MANY
@given(windows(), arrivals(), st.booleans())
def test_the_last_write_is_what_history_says(
    window: Window, stream: list[Arrival], exact: bool
) -> None:
    check(Sweep(view_of(window)), window, stream, exact)


class Forgets(Sweep):
    """Says what is new, and corrects nothing."""

    def _changed(self, points: Any, said: Any, spans: Any) -> set[int]:
        return {point for point in points if point not in said}


class CorrectsToNarrowly(Sweep):
    """Corrects the point at which a late event enters only."""

    def _changed(self, points: Any, said: Any, spans: Any) -> set[int]:
        return super()._changed(points, said, [(start, start + 1) for start, _ in spans])


class EvictsEarly(Sweep):
    """Drops what an event within the lateness still needs."""

    def _evict(self, state: KeyState) -> None:
        self.lateness, lateness = 0, self.lateness
        super()._evict(state)
        self.lateness = lateness


class EvictsNothingOfTheSum(Sweep):
    """Sums up and keeps."""

    def _evict(self, state: KeyState) -> None:
        kept = list(state.events)
        super()._evict(state)
        state.events[:] = kept


class CountsTwice(Sweep):
    """Takes a duplicate for another event."""

    def _same(self, events: list[Event], event: Event) -> int | None:
        return None


class SetsNoTimer(Sweep):
    """Is never woken."""

    def wake(self, state: KeyState) -> int | None:
        return None


class IgnoresLateness(Sweep):
    """Counts what comes too late, beside what is no longer there."""

    def is_late(self, time: int, clock: int) -> bool:
        return False


class CallsAllLate(Sweep):
    """Takes nothing behind the watermark."""

    def is_late(self, time: int, clock: int) -> bool:
        return time < clock


class ForgetsCreated(Sweep):
    """Says what was created when of the events it still has."""

    def _created(self, kept: Any, points: Any, floor: int) -> list[int]:
        return super()._created(kept, points, BEFORE)


class KeepsTheFirstThatCame(Sweep):
    """Of two duplicates keeps the one that came first, not the one that was created first."""

    def _same(self, events: list[Event], event: Event) -> int | None:
        index = super()._same(events, event)
        if index is not None:
            events[index] = events[index]._replace(created=BEFORE)
        return index


class WindowTooLong(Sweep):
    """Counts an event one microsecond longer."""

    def __init__(self, view: Any, by: int = 1) -> None:
        super().__init__(view)
        name = "gap" if hasattr(self._spans, "gap") else "size"
        if hasattr(self._spans, name):
            setattr(self._spans, name, getattr(self._spans, name) + by)


class WindowTooShort(WindowTooLong):
    """Counts an event one microsecond less long."""

    def __init__(self, view: Any) -> None:
        super().__init__(view, -1)


class OpenAtTheWrongEnd(Sweep):
    """Counts the event that leaves at t."""

    def _values(self, state: Any, kept: Any, points: Any) -> Any:
        return super()._values(state, kept, [point - 1 for point in points])


FAULTS = [
    Forgets, CorrectsToNarrowly, EvictsEarly, EvictsNothingOfTheSum, CountsTwice, SetsNoTimer,
    IgnoresLateness, CallsAllLate, ForgetsCreated, KeepsTheFirstThatCame, WindowTooLong,
    WindowTooShort, OpenAtTheWrongEnd,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_caught_by_the_same_property(fault: type[Sweep]) -> None:
    @settings(MANY, phases=[Phase.generate], report_multiple_bugs=False)
    @given(windows(), arrivals(), st.booleans())
    def holds(window: Window, stream: list[Arrival], exact: bool) -> None:
        check(fault(view_of(window)), window, stream, exact)

    with pytest.raises((AssertionError, ValueError, BeamfleetError, ExceptionGroup)):
        holds()
