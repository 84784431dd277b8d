"""Which events are in the window at each change point, in the forms that can be swept fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.feature_values.merging import Arrays, Merge, merged_ranges
from components.feature_values.ordered import Ints
from components.features.aggregator import Aggregator

Bools = npt.NDArray[np.bool_]
_NONE = np.iinfo(np.int64).max
NO_VALUE = object()
"""Instead of the state of an event in which the aggregator's column is null."""


class Sweep:
    """The windows at all change points."""

    def merged(self, states: Arrays, merge: Merge, zero: Arrays) -> Arrays:
        """The merged states at each point.

        Args:
          states: One element an event; (states, zero) are of merges that do not mind the order.
          merge: See Merge.
          zero: The state of no events.
        """
        raise NotImplementedError

    def merged_own(self, own: Aggregator[Any], states: Sequence[Any]) -> list[Any]:
        """The same of an aggregator of a user's own; its states may be NO_VALUE."""
        raise NotImplementedError

    def count(self, weights: Ints) -> Ints:
        """Sum of the weights at each point."""
        return self.merged((weights,), _added, (np.zeros(1, dtype=np.int64),))[0]

    def first(self, valid: Bools) -> Ints:
        """Earliest valid event in the window; -1: none."""
        rows = np.where(valid, np.arange(len(valid)), _NONE)
        found = self.merged((rows,), _least, (np.array([_NONE]),))[0]
        return np.where(found == _NONE, -1, found)

    def last(self, valid: Bools) -> Ints:
        """Latest valid event in the window; -1: none."""
        rows = np.where(valid, np.arange(len(valid)), -1)
        return self.merged((rows,), _most, (np.array([-1]),))[0]


@dataclass(frozen=True)
class Ranges(Sweep):
    """Windows [left, right) of events in their order. `right` never falls; `left` seldom."""

    left: Ints
    right: Ints

    def merged(self, states: Arrays, merge: Merge, zero: Arrays) -> Arrays:
        return merged_ranges(states, merge, zero, self.left, self.right)

    def merged_own(self, own: Aggregator[Any], states: Sequence[Any]) -> list[Any]:
        return list(_two_stacks(own, states, self.left.tolist(), self.right.tolist()))

    def count(self, weights: Ints) -> Ints:
        upto = np.zeros(len(weights) + 1, dtype=np.int64)
        np.cumsum(weights, out=upto[1:])
        return upto[self.right] - upto[self.left]  # whole numbers: a difference cannot drift

    def first(self, valid: Bools) -> Ints:
        rows = np.where(valid, np.arange(len(valid)), _NONE)
        following = np.append(np.minimum.accumulate(rows[::-1])[::-1], _NONE)[self.left]
        return np.where(following < self.right, following, -1)

    def last(self, valid: Bools) -> Ints:
        rows = np.where(valid, np.arange(len(valid)), -1)
        before = np.append(np.maximum.accumulate(rows), -1)[self.right - 1]
        return np.where((before >= self.left) & (self.left < self.right), before, -1)


@dataclass(frozen=True)
class Pairs(Sweep):
    """Windows as lists of events: those of point i are order[left[i]:right[i]]."""

    order: Ints
    left: Ints
    right: Ints

    def merged(self, states: Arrays, merge: Merge, zero: Arrays) -> Arrays:
        listed = tuple(one[self.order] for one in states)
        return merged_ranges(listed, merge, zero, self.left, self.right)

    def merged_own(self, own: Aggregator[Any], states: Sequence[Any]) -> list[Any]:
        made = []
        for left, right in zip(self.left.tolist(), self.right.tolist(), strict=True):
            state = own.zero()
            for row in self.order[left:right].tolist():
                if states[row] is not NO_VALUE:
                    state = own.merge(state, states[row])
            made.append(state)
        return made


def _two_stacks(
    own: Aggregator[Any], states: Sequence[Any], lefts: list[int], rights: list[int]
) -> Any:
    """Yields merged states of windows that move on: each event is merged three times at most.

    Source: Tangwongsan, Hirzel, Schneider 2017, two stacks.
    """
    front: list[Any] = []  # merged [i, middle) for i from middle - 1 down to low
    low = middle = high = 0
    back = own.zero()
    for left, right in zip(lefts, rights, strict=True):
        if left >= high or left < low:
            front, back = [], own.zero()
            low = middle = high = left
        for row in range(high, right):
            back = back if states[row] is NO_VALUE else own.merge(back, states[row])
        high = max(high, right)
        if left <= middle:
            del front[len(front) - (left - low) :]
        else:
            front, back = _suffixes(own, states, left, high), own.zero()
            middle = high
        low = left
        yield own.merge(front[-1], back) if front else back


def _suffixes(own: Aggregator[Any], states: Sequence[Any], left: int, right: int) -> list[Any]:
    state, made = own.zero(), []
    for row in range(right - 1, left - 1, -1):
        state = state if states[row] is NO_VALUE else own.merge(states[row], state)
        made.append(state)
    return made


def _added(earlier: Arrays, later: Arrays) -> Arrays:
    return (earlier[0] + later[0],)


def _least(earlier: Arrays, later: Arrays) -> Arrays:
    return (np.minimum(earlier[0], later[0]),)


def _most(earlier: Arrays, later: Arrays) -> Arrays:
    return (np.maximum(earlier[0], later[0]),)
