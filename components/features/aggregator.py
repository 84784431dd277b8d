"""How the events of a window become one value.

An aggregator is four functions over a state: `zero`, `add`, `merge`, `extract`. States are merged
in the order of the events and never taken apart: to subtract what leaves a window drifts.

Events of one key are in the order of (event time, created, event id, values). Nulls are no values:
an aggregator of a column does not see events in which it is null.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

S = TypeVar("S")

VALUE = "value"
"""The column of an aggregator that names none; of Count: every event."""


class Aggregator(Generic[S]):
    """An aggregator of your own: a frozen dataclass with these four functions.

    A state has to be a value that can be pickled, and is not to be changed: `add` and `merge` give
    a new one. merge(zero(), s) == s == merge(s, zero()), and merge is associative.
    """

    of: str = VALUE
    """Column that it reads."""

    def zero(self) -> S:
        """The state of no events."""
        raise NotImplementedError

    def add(self, state: S, value: Any) -> S:
        """The state with one more event, which is later than all in it."""
        raise NotImplementedError

    def merge(self, earlier: S, later: S) -> S:
        """The state of the events of both; those of `later` come behind those of `earlier`."""
        raise NotImplementedError

    def extract(self, state: S) -> Any:
        """The value of the feature; None: there is none."""
        raise NotImplementedError


@dataclass(frozen=True)
class Count(Aggregator[int]):
    """Number of events; of a column: of those in which it is not null. 0 if there are none."""

    of: str = ""
    """Empty: every event counts."""

    def zero(self) -> int:
        return 0

    def add(self, state: int, value: Any) -> int:
        return state + 1

    def merge(self, earlier: int, later: int) -> int:
        return earlier + later

    def extract(self, state: int) -> int:
        return state


@dataclass(frozen=True)
class Sum(Aggregator[float | None]):
    """Sum; None if there are no values. Of int values it is exact as an int feature."""

    of: str = VALUE

    def zero(self) -> float | None:
        return None

    def add(self, state: float | None, value: Any) -> float | None:
        return value if state is None else state + value  # type: ignore[no-any-return]

    def merge(self, earlier: float | None, later: float | None) -> float | None:
        if earlier is None or later is None:
            return later if earlier is None else earlier
        return earlier + later

    def extract(self, state: float | None) -> float | None:
        return state


@dataclass(frozen=True)
class Mean(Aggregator[tuple[int, float]]):
    """Arithmetic mean; None if there are no values."""

    of: str = VALUE

    def zero(self) -> tuple[int, float]:
        return 0, 0.0

    def add(self, state: tuple[int, float], value: Any) -> tuple[int, float]:
        return state[0] + 1, state[1] + value

    def merge(self, earlier: tuple[int, float], later: tuple[int, float]) -> tuple[int, float]:
        return earlier[0] + later[0], earlier[1] + later[1]

    def extract(self, state: tuple[int, float]) -> float | None:
        return state[1] / state[0] if state[0] else None


@dataclass(frozen=True)
class Std(Aggregator[tuple[int, float, float]]):
    """Standard deviation of the population; None if there are no values, NaN if one is no number.

    Source: Chan, Golub, LeVeque 1983, merging of (count, mean, sum of squared distances).
    """

    of: str = VALUE

    def zero(self) -> tuple[int, float, float]:
        return 0, 0.0, 0.0

    def add(self, state: tuple[int, float, float], value: Any) -> tuple[int, float, float]:
        return self.merge(state, (1, float(value), 0.0))

    def merge(
        self, earlier: tuple[int, float, float], later: tuple[int, float, float]
    ) -> tuple[int, float, float]:
        if not earlier[0] or not later[0]:
            return later if not earlier[0] else earlier
        count, apart = earlier[0] + later[0], later[1] - earlier[1]
        mean = earlier[1] + apart * later[0] / count
        between = apart * apart * earlier[0] * later[0] / count
        return count, mean, earlier[2] + later[2] + between

    def extract(self, state: tuple[int, float, float]) -> float | None:
        if not state[0]:
            return None
        return math.sqrt(state[2] / state[0]) if math.isfinite(state[1]) else math.nan


@dataclass(frozen=True)
class _One(Aggregator[tuple[Any] | None]):
    """Keeps one of the values."""

    of: str = VALUE

    def zero(self) -> tuple[Any] | None:
        return None

    def add(self, state: tuple[Any] | None, value: Any) -> tuple[Any] | None:
        return self.merge(state, (value,))

    def merge(self, earlier: tuple[Any] | None, later: tuple[Any] | None) -> tuple[Any] | None:
        if earlier is None or later is None:
            return later if earlier is None else earlier
        return self.chosen(earlier, later)

    def chosen(self, earlier: tuple[Any], later: tuple[Any]) -> tuple[Any]:
        """Which of two stays."""
        raise NotImplementedError

    def extract(self, state: tuple[Any] | None) -> Any:
        return state[0] if state is not None else None


@dataclass(frozen=True)
class Min(_One):
    """Smallest value; None if there are none, NaN if one is."""

    def chosen(self, earlier: tuple[Any], later: tuple[Any]) -> tuple[Any]:
        return _nan_of(earlier, later) or min(earlier, later)


@dataclass(frozen=True)
class Max(_One):
    """Largest value; None if there are none, NaN if one is."""

    def chosen(self, earlier: tuple[Any], later: tuple[Any]) -> tuple[Any]:
        return _nan_of(earlier, later) or max(earlier, later)


@dataclass(frozen=True)
class First(_One):
    """Value of the earliest event; of "event_time": when it was."""

    def chosen(self, earlier: tuple[Any], later: tuple[Any]) -> tuple[Any]:
        return earlier


@dataclass(frozen=True)
class Last(_One):
    """Value of the latest event; of "event_time": when it was."""

    def chosen(self, earlier: tuple[Any], later: tuple[Any]) -> tuple[Any]:
        return later


def _nan_of(*states: tuple[Any]) -> tuple[Any] | None:
    """NaN compares with nothing: which of two is smaller would hang on their order."""
    return next((one for one in states if one[0] != one[0]), None)


BUILT_IN: tuple[type[Aggregator[Any]], ...] = (Count, Sum, Mean, Std, Min, Max, First, Last)
EventTransform = Callable[[Any], Any]
"""`event_transform(events: pl.DataFrame) -> pl.DataFrame`."""
