"""Aggregates of ranges that only move on, by merging: nothing is ever taken off a state.

Source: Tangwongsan, Hirzel, Schneider 2017, "Low-Latency Sliding-Window Aggregation in Worst-Case
Constant Time", section 2: two stacks.
"""

from collections.abc import Sequence
from typing import Any

from components.features.aggregator import Aggregator


class RangeAggregate:
    """The aggregate of [low, high) of a list, for bounds that never fall: two merges an item."""

    def __init__(
        self,
        one: Aggregator[Any],
        base: tuple[Any, ...],
        values: Sequence[Any],
    ) -> None:
        """Takes the list.

        Args:
          one: Whose states are merged.
          base: The state that stands for the first item, if there is one.
          values: What `one` reads of each event; None: it does not see it. With a base, that is
            item 0 and the first value belongs to item 1.
        """
        self._one, self._values = one, values
        self._base, self._offset = base, len(base)
        self._front: list[Any] = []
        """States of [i, middle) for i from `_front_low`, backwards."""
        self._middle = self._high = 0
        self._back = one.zero()

    def state(self, low: int, high: int) -> Any:
        """The merged state of [low, high)."""
        if low >= self._high:
            self._front, self._back = [], self._one.zero()
            self._middle = self._high = low
        while self._high < high:
            self._back = self._with(self._back, self._high)
            self._high += 1
        if low > self._middle:
            self._turn(low)
        if low == self._middle:
            return self._back
        return self._one.merge(self._front[self._middle - low - 1], self._back)

    def _turn(self, low: int) -> None:
        """What is behind becomes the front, summed up from its end."""
        one, state = self._one, self._one.zero()
        self._front = []
        for index in range(self._high - 1, low - 1, -1):
            state = one.merge(self._with(one.zero(), index), state)
            self._front.append(state)
        self._middle, self._back = self._high, one.zero()

    def _with(self, state: Any, index: int) -> Any:
        if index < self._offset:
            return self._one.merge(state, self._base[index])
        value = self._values[index - self._offset]
        return state if value is None else self._one.add(state, value)
