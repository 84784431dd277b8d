"""When each event counts, and the change points that follow."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from components.feature_values.ordered import Ints, key_width
from components.feature_values.partials import Part, taken
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
    return ranges(window, elements, *enter_and_leave(window, elements))


def enter_and_leave(window: Window, elements: Elements) -> tuple[Ints, Ints | None]:
    """From when and up to, and without, when each element counts; None: it never ceases to."""
    time = elements.time
    match window:
        case Lifetime():
            return time, None
        case Rolling():
            return time, time + window.size_us
        case Tumbling():
            end = (time // window.size_us + 1) * window.size_us
            return end, end + window.size_us
        case Session():
            return time, time[session_bounds(window, elements)[1]] + window.gap_us
    raise AssertionError(window)


def ranges(window: Window, elements: Elements, enter: Ints, leave: Ints | None) -> Points:
    """Change points of events that come and go in their order."""
    axis = Axis(window, elements, enter)
    enters = axis.of(elements.code, enter)
    if leave is None:
        counted = np.flatnonzero(ends_of(enters)) + 1
        begin = np.searchsorted(elements.code, elements.code[counted - 1])
        at, sweep = enters[counted - 1], Ranges(begin, counted)
        return axis.points(elements.code, elements.created, at, sweep, counted)
    both = np.concatenate([enters, axis.of(elements.code, leave)])
    order = np.argsort(both, kind="stable")  # merges two sorted runs
    both = both[order]
    ends = np.flatnonzero(ends_of(both))
    left: Ints = np.cumsum(order >= len(enters), dtype=np.int64)[ends]
    right = ends + 1 - left
    return axis.points(elements.code, elements.created, both[ends], Ranges(left, right), right)


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

    def end(self, code: Ints) -> Ints:
        """Behind all times of the keys."""
        return (code + 1) * self._width

    def points(self, code: Ints, created: Ints, at: Ints, sweep: Sweep, right: Ints) -> Points:
        """Change points at places.

        Args:
          code: Keys of the elements, in the order in which they come to count.
          created: Of the elements, in this order.
          at: The places.
          sweep: See Points.
          right: How many elements have come to count at each.
        """
        latest = np.maximum.accumulate(self.of(code, created)) - code * self._width + self._low
        keys, time = np.divmod(at, self._width)
        return Points(keys, time + self._low, latest[right - 1], sweep)


def distinct(places: Ints) -> Ints:
    """Each once, in order. NumPy's `unique` hashes, which takes far longer."""
    places = np.sort(places, kind="stable")
    return places[ends_of(places)]


def ends_of(places: Ints) -> Bools:
    """Which are the last of those equal to them."""
    return np.append(places[1:] != places[:-1], np.ones(min(places.size, 1), dtype=bool))
