"""When events begin and cease to count, for each window, in whole microseconds.

`times` are the event times of a key's events in order. If there is a base, the first of them is
that of the last event in it; what `settled` says can be summed up in it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Protocol

from components.features.window import Lifetime, Rolling, Session, Tumbling, Window

FOREVER = 1 << 62
"""After all times, in microseconds."""
Times = Sequence[int]


class Spans(Protocol):
    """One of the windows. `clock` is a watermark; `limit` is the earliest that may still come."""

    sums_up: bool
    """Whether events before the limit are merged into the base; else they are kept until they
    have left."""

    def enter(self, time: int) -> int:
        """When an event begins to count."""

    def touched(self, times: Times, time: int) -> tuple[int, int]:
        """From and until when an event among these changes values; the end is a change point."""

    def said(self, times: Times, based: bool, clock: int, limit: int) -> set[int]:
        """The change points that can be said."""

    def counting(self, times: Times, at: Sequence[int]) -> list[tuple[int, int]]:
        """The range of the events that count at each of some points, which rise."""

    def over(self, last: int, clock: int, limit: int) -> bool:
        """Whether an event, and so a base that ends with it, is needed no more."""

    def wake(self, times: Times, based: bool, clock: int, lateness: int) -> int:
        """The next watermark at which there is something to say or to drop."""


class _RollingSpans:
    sums_up = False

    def __init__(self, size: int) -> None:
        self.size = size

    def enter(self, time: int) -> int:
        return time

    def touched(self, times: Times, time: int) -> tuple[int, int]:
        return time, time + self.size

    def said(self, times: Times, based: bool, clock: int, limit: int) -> set[int]:
        leaves = {time + self.size for time in times[: bisect_right(times, clock - self.size)]}
        return leaves.union(times)

    def counting(self, times: Times, at: Sequence[int]) -> list[tuple[int, int]]:
        return [(bisect_right(times, t - self.size), bisect_right(times, t)) for t in at]

    def over(self, last: int, clock: int, limit: int) -> bool:
        return last + self.size <= limit

    def wake(self, times: Times, based: bool, clock: int, lateness: int) -> int:
        leaving = bisect_right(times, clock - self.size)
        says = times[leaving] + self.size if leaving < len(times) else FOREVER
        return min(says, times[0] + self.size + lateness)


class _TumblingSpans:
    sums_up = True

    def __init__(self, size: int) -> None:
        self.size = size

    def enter(self, time: int) -> int:
        return time // self.size * self.size + self.size

    def touched(self, times: Times, time: int) -> tuple[int, int]:
        end = self.enter(time)
        return end, end + self.size

    def said(self, times: Times, based: bool, clock: int, limit: int) -> set[int]:
        return {point for point in self._points(times) if point <= clock}

    def counting(self, times: Times, at: Sequence[int]) -> list[tuple[int, int]]:
        ends = [t // self.size * self.size for t in at]
        return [(bisect_left(times, end - self.size), bisect_left(times, end)) for end in ends]

    def over(self, last: int, clock: int, limit: int) -> bool:
        end = self.enter(last)
        return end <= limit and end + self.size <= clock

    def wake(self, times: Times, based: bool, clock: int, lateness: int) -> int:
        says = min((point for point in self._points(times) if point > clock), default=FOREVER)
        end = self.enter(times[0])
        drops = end + max(lateness, self.size) if based else FOREVER
        return min(says, drops, _sums_up(times, based, lateness))

    def _points(self, times: Times) -> set[int]:
        ends = set(map(self.enter, times))
        return ends.union(end + self.size for end in ends)


class _SessionSpans:
    """A session is said to have ended when no event that may still come can prolong it."""

    sums_up = True

    def __init__(self, gap: int) -> None:
        self.gap = gap

    def enter(self, time: int) -> int:
        return time

    def touched(self, times: Times, time: int) -> tuple[int, int]:
        index = bisect_right(times, time) - 1
        while index + 1 < len(times) and times[index + 1] - times[index] < self.gap:
            index += 1
        return time, times[index] + self.gap

    def said(self, times: Times, based: bool, clock: int, limit: int) -> set[int]:
        ends = {end for end in self._ends(times) if end <= limit}
        return ends.union(times[int(based) :])

    def counting(self, times: Times, at: Sequence[int]) -> list[tuple[int, int]]:
        starts, start = [], 0
        for index, time in enumerate(times):
            if index and time - times[index - 1] >= self.gap:
                start = index
            starts.append(start)
        ranges = []
        for t in at:
            high = bisect_right(times, t)
            goes_on = high and t - times[high - 1] < self.gap
            ranges.append((starts[high - 1] if goes_on else high, high))
        return ranges

    def over(self, last: int, clock: int, limit: int) -> bool:
        return last + self.gap <= limit

    def wake(self, times: Times, based: bool, clock: int, lateness: int) -> int:
        limit = clock - lateness
        says = next((end for end in self._ends(times) if end > limit), FOREVER) + lateness
        drops = times[0] + self.gap + lateness if based else FOREVER
        return min(says, drops, _sums_up(times, based, lateness))

    def _ends(self, times: Times) -> list[int]:
        last = len(times) - 1
        return [
            time + self.gap
            for index, time in enumerate(times)
            if index == last or times[index + 1] - time >= self.gap
        ]


class _LifetimeSpans:
    sums_up = True

    def enter(self, time: int) -> int:
        return time

    def touched(self, times: Times, time: int) -> tuple[int, int]:
        return time, FOREVER

    def said(self, times: Times, based: bool, clock: int, limit: int) -> set[int]:
        return set(times[int(based) :])

    def counting(self, times: Times, at: Sequence[int]) -> list[tuple[int, int]]:
        return [(0, bisect_right(times, t)) for t in at]

    def over(self, last: int, clock: int, limit: int) -> bool:
        return False

    def wake(self, times: Times, based: bool, clock: int, lateness: int) -> int:
        return _sums_up(times, based, lateness)


def _sums_up(times: Times, based: bool, lateness: int) -> int:
    """The watermark from which no event can come before the first that is not in the base."""
    first = int(based)
    return times[first] + lateness + 1 if first < len(times) else FOREVER


def spans_of(window: Window) -> Spans:
    """Those of a window."""
    match window:
        case Rolling():
            return _RollingSpans(window.size_us)
        case Tumbling():
            return _TumblingSpans(window.size_us)
        case Session():
            return _SessionSpans(window.gap_us)
        case Lifetime():
            return _LifetimeSpans()
    raise AssertionError(window)
