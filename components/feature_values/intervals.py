"""When each event counts, and the change points that follow."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from components.feature_values.ordered import Ints, key_width
from components.feature_values.partials import Part, joined, taken
from components.feature_values.sweeps import Bools, Ranges, Sweep
from components.features.window import Lifetime, Rolling, Session, Tumbling, Window


@dataclass(frozen=True)
class Elements:
    """Events of a view in order, as columns; the first of a key may stand for all before it."""

    keys: pl.DataFrame
    """Each key once, in order."""
    code: Ints
    """Row of the key; never falls."""
    time: Ints
    """Event time in microseconds since 1970; never falls within a key."""
    created: Ints
    parts: tuple[Part, ...] = field(repr=False)
    """Of each aggregator of the view."""

    def take(self, rows: Ints) -> "Elements":
        """Some of them."""
        columns = self.code[rows], self.time[rows], self.created[rows]
        return Elements(self.keys, *columns, tuple(taken(part, rows) for part in self.parts))


@dataclass(frozen=True)
class Points:
    """Change points in order, and what is in the window at each."""

    code: Ints
    time: Ints
    created: Ints
    """Greatest created of the events of the key that have come to count by then."""
    sweep: Sweep


def points_of(window: Window, elements: Elements) -> Points:
    """Change points of events that count from their event time on."""
    time = elements.time
    match window:
        case Lifetime():
            enter, leave = time, None
        case Rolling():
            enter, leave = time, time + window.size_us
        case Tumbling():
            enter = (time // window.size_us + 1) * window.size_us
            leave = enter + window.size_us
        case Session():
            enter, leave = time, time[session_bounds(window, elements)[1]] + window.gap_us
        case _:
            raise AssertionError(window)
    return ranges(window, elements, enter, leave)


def ranges(window: Window, elements: Elements, enter: Ints, leave: Ints | None) -> Points:
    """Change points of events that come and go in their order."""
    axis = Axis(window, elements, enter)
    enters = axis.of(elements.code, enter)
    if leave is None:
        last = np.append(enters[1:] != enters[:-1], True) if enters.size else enters == 0
        right = np.flatnonzero(last) + 1
        left = np.searchsorted(elements.code, elements.code)[right - 1]
        return axis.points(elements, enters[right - 1], right, Ranges(left, right))
    both = np.concatenate([enters, axis.of(elements.code, leave)])
    order = np.argsort(both, kind="stable")  # merges two sorted runs
    both, leaves = both[order], order >= len(enters)
    last = np.append(both[1:] != both[:-1], True) if both.size else leaves
    left = np.cumsum(leaves)[last]
    right = np.flatnonzero(last) + 1 - left
    return axis.points(elements, both[last], right, Ranges(left, right))


def session_bounds(window: Session, elements: Elements) -> tuple[Ints, Ints]:
    """The first and the last element of the session of each element, by event times."""
    count = len(elements.time)
    starts = np.ones(count, dtype=bool)
    starts[1:] = np.diff(elements.time) >= window.gap_us
    starts[1:] |= elements.code[1:] != elements.code[:-1]
    first = np.maximum.accumulate(np.where(starts, np.arange(count), 0))
    ends = np.append(np.flatnonzero(starts)[1:], count) - 1
    return first, ends[np.cumsum(starts) - 1]


class Axis:
    """Times of all keys on one axis of whole numbers, one key behind the other."""

    def __init__(self, window: Window, elements: Elements, *times: Ints) -> None:
        seen = (elements.time, elements.created, *times)
        self._width = key_width(window, *seen)
        self._low = min((int(one.min()) for one in seen if one.size), default=0)

    def of(self, code: Ints, time: Ints) -> Ints:
        """Places of times of keys."""
        return code * self._width + (time - self._low)

    def latest_created(self, code: Ints, created: Ints) -> Ints:
        """The greatest `created` up to each element of its key."""
        return np.maximum.accumulate(self.of(code, created)) - code * self._width + self._low

    def points(self, elements: Elements, at: Ints, right: Ints, sweep: Sweep) -> Points:
        """Change points at places, where the first `right` elements have come to count."""
        created = self.latest_created(elements.code, elements.created)[right - 1]
        code, time = np.divmod(at, self._width)
        return Points(code, time + self._low, created, sweep)
