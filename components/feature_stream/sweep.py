"""The sweep over the events of one key, taken up again whenever one comes or time goes on.

The same rows come out as of a backfill: a row at every time at which events begin or cease to
count. A row is said again when an event that came out of order changes it.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from components.feature_stream.spans import FOREVER, spans_of
from components.feature_stream.state import BEFORE, Event, KeyState, order
from components.feature_stream.two_stack import RangeAggregate
from components.feature_values.keyed import value_columns
from components.features.view import FeatureView


class Change(NamedTuple):
    """A row of the change log without its key."""

    valid_from: int
    created: int
    features: tuple[Any, ...]
    """As the aggregators extracted them, not yet of the types of the schema."""


@dataclass(frozen=True)
class Swept:
    """What came of some events."""

    changes: list[Change]
    """In the order of valid_from, each valid_from once."""
    duplicates: int
    """Events that were there already."""


@dataclass
class _Kept:
    """Events and base as one list, as the spans count them."""

    events: list[Event]
    times: list[int]
    based: bool


class Sweep:
    """Sweeps the keys of one view; it keeps nothing itself."""

    def __init__(self, view: FeatureView) -> None:
        """Of `view`."""
        transformer = view.transformer
        self.aggregators = transformer.aggregators
        self.lateness = transformer.window.lateness_us
        self._spans = spans_of(transformer.window)
        columns = value_columns(view)
        self._reads = [columns.index(one.of) if one.of else None for one in self.aggregators]
        self._columns = columns

    def is_late(self, time: int, clock: int) -> bool:
        """Whether an event comes so far behind a watermark that it is counted no more."""
        return time < clock - self.lateness

    def update(self, state: KeyState, events: Iterable[Event], clock: int) -> Swept:
        """Adds events and lets time go on; changes `state`.

        Args:
          state: Of the key.
          events: In any order, none of them late.
          clock: The watermark after them: what leaves up to it is said, and what no event that is
            not late can need is dropped.
        """
        before = _Kept(list(state.events), self._times(state), state.base is not None)
        said = self._said(before, state.clock)
        touched, duplicates = self._insert(state, events)
        clock = max(clock, state.clock)
        after = _Kept(state.events, self._times(state), state.base is not None)
        points = sorted(self._said(after, clock))
        created = self._created(after, points, state.created)
        if touched:
            fresh = self._changed(points, said, self._touched_spans(after, touched))
            old = self._created(before, points, state.created)
            again = {p for p, new, was in zip(points, created, old, strict=True) if new != was}
        else:
            fresh, again = {point for point in points if point not in said}, set()
        chosen = [(p, c) for p, c in zip(points, created, strict=True) if p in fresh or p in again]
        values = self._values(state, after, [point for point, _ in chosen])
        changes = [Change(p, c, v) for (p, c), v in zip(chosen, values, strict=True)]
        state.clock = clock
        self._evict(state)
        return Swept(changes, duplicates)

    def wake(self, state: KeyState) -> int | None:
        """The next watermark at which `update` without events does something; None: never."""
        times = self._times(state)
        if not times:
            return None
        next_one = self._spans.wake(times, state.base is not None, state.clock, self.lateness)
        return None if next_one >= FOREVER else next_one

    def _times(self, state: KeyState) -> list[int]:
        times = [event.time for event in state.events]
        return times if state.base is None else [state.last, *times]

    def _said(self, kept: _Kept, clock: int) -> set[int]:
        return self._spans.said(kept.times, kept.based, clock, clock - self.lateness)

    def _insert(self, state: KeyState, events: Iterable[Event]) -> tuple[list[int], int]:
        """Puts events in order; gives the times at which there are others now."""
        touched, duplicates = [], 0
        for event in events:
            there = self._same(state.events, event)
            duplicates += there is not None
            if there is not None:
                if order(state.events[there]) <= order(event):
                    continue
                del state.events[there]  # of two the first that was created counts, as in history
            insort(state.events, event, key=order)
            touched.append(event.time)
        return touched, duplicates

    def _same(self, events: list[Event], event: Event) -> int | None:
        if event.id is None:
            return None
        index = bisect_left(events, event.time, key=lambda one: one.time)
        while index < len(events) and events[index].time == event.time:
            if events[index].id == event.id:
                return index
            index += 1
        return None

    def _touched_spans(self, kept: _Kept, touched: Sequence[int]) -> list[tuple[int, int]]:
        """From and until when values are others, in order and apart from each other."""
        merged: list[tuple[int, int]] = []
        for start, end in sorted(self._spans.touched(kept.times, time) for time in set(touched)):
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        return merged

    def _changed(
        self, points: Sequence[int], said: set[int], spans: Sequence[tuple[int, int]]
    ) -> set[int]:
        """The points that nobody has been told, or was told otherwise."""
        changed = {point for point in points if point not in said}
        for start, end in spans:
            changed.update(points[bisect_left(points, start) : bisect_left(points, end)])
        return changed

    def _created(self, kept: _Kept, points: Sequence[int], floor: int) -> list[int]:
        """The greatest created of the events that have begun to count by each point."""
        enters = [self._spans.enter(event.time) for event in kept.events]
        greatest = list(accumulate((event.created for event in kept.events), max, initial=floor))
        return [greatest[bisect_right(enters, point)] for point in points]

    def _values(self, state: KeyState, kept: _Kept, points: Sequence[int]) -> list[tuple[Any, ...]]:
        """The features at each of the points, which rise."""
        ranges = self._spans.counting(kept.times, points)
        columns = []
        for index, (one, read) in enumerate(zip(self.aggregators, self._reads, strict=True)):
            base = () if state.base is None else (state.base[index],)
            aggregate = RangeAggregate(one, base, self._read(kept.events, read))
            columns.append([one.extract(aggregate.state(*bounds)) for bounds in ranges])
        return list(zip(*columns, strict=True))

    def _read(self, events: Sequence[Event], read: int | None) -> list[Any]:
        """What an aggregator sees of each event: a value, or as it names no column the whole."""
        if read is not None:
            return [event.values[read] for event in events]
        return [dict(zip(self._columns, event.values, strict=True)) for event in events]

    def _evict(self, state: KeyState) -> None:
        limit = state.clock - self.lateness
        gone = 0
        for event in state.events:
            if self._spans.sums_up and event.time < limit:
                self._sum_up(state, event)
            elif self._spans.sums_up or not self._spans.over(event.time, state.clock, limit):
                break
            state.created = max(state.created, event.created)
            gone += 1
        del state.events[:gone]
        if state.base is not None and self._spans.over(state.last, state.clock, limit):
            state.base, state.last = None, BEFORE

    def _sum_up(self, state: KeyState, event: Event) -> None:
        """Adds an event to the base; begins another where it does not count together with it."""
        base = state.base
        if base is None or not self._together(state.last, event.time):
            base = tuple(one.zero() for one in self.aggregators)
        values = [self._read([event], read)[0] for read in self._reads]
        state.base = tuple(
            one_state if value is None else one.add(one_state, value)
            for one, one_state, value in zip(self.aggregators, base, values, strict=True)
        )
        state.last = event.time

    def _together(self, earlier: int, later: int) -> bool:
        """Whether there is a time at which both count."""
        [(low, _)] = self._spans.counting([earlier, later], [self._spans.enter(later)])
        return low == 0
