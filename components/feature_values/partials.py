"""Aggregators as columns of partial aggregates: what an event brings, how they merge, what is told.

A part is made of columns, one row an event (`lifted`), or one row a change point (`reduced`). What
holds for a point can stand for all the events before it: so a long history is swept in pieces.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from components.feature_values.merging import Arrays
from components.feature_values.sweeps import NO_VALUE, Sweep
from components.features.aggregator import (
    BUILT_IN,
    Aggregator,
    Count,
    First,
    Last,
    Max,
    Mean,
    Min,
    Std,
    Sum,
)

Floats = npt.NDArray[np.float64]
Part = tuple[Any, ...]
"""Columns: numpy arrays, or one pl.Series of values."""
_LOW = 0xFFFFFFFF
_INT_MAX = (1 << 63) - 1


def lifted(one: Aggregator[Any], events: pl.DataFrame) -> Part:
    """The part of each event alone."""
    if type(one) not in BUILT_IN:
        return (_own_states(one, events),)
    if isinstance(one, Count):
        valid = (
            events[one.of].is_not_null() if one.of else pl.repeat(True, events.height, eager=True)
        )
        return (valid.cast(pl.Int64).to_numpy(),)
    values = events[one.of]
    if isinstance(one, Min | Max | First | Last):
        return (values,)
    count = values.is_not_null().cast(pl.Int64).to_numpy()
    whole = values.dtype.is_integer() or values.dtype in (pl.Boolean, pl.Null)
    if isinstance(one, Sum) and whole:
        return count, _cast(values, pl.Int64()).fill_null(0).to_numpy()
    numbers = values.cast(pl.Float64).fill_null(0.0).to_numpy()
    return (count, numbers, np.zeros(len(count))) if isinstance(one, Std) else (count, numbers)


def reduced(one: Aggregator[Any], part: Part, sweep: Sweep) -> Part:
    """The part of each change point.

    Raises:
      OverflowError: a sum of whole numbers leaves 64 bits.
    """
    match one:
        case _ if type(one) not in BUILT_IN:
            return (_objects(sweep.merged_own(one, part[0])),)
        case Count():
            return (sweep.count(part[0]),)
        case First() | Last():
            valid = part[0].is_not_null().to_numpy()
            rows = sweep.first(valid) if isinstance(one, First) else sweep.last(valid)
            return (_at(part[0], rows),)
        case Min() | Max():
            return (_extreme(one, part[0], sweep),)
        case Std():
            with np.errstate(all="ignore"):
                return sweep.merged((part[0], *part[1:]), _spread, _zeros(part))
    count = sweep.count(part[0])
    if part[1].dtype == np.int64:
        return count, _whole_sum(part[1], sweep)
    with np.errstate(all="ignore"):
        return count, sweep.merged(part[1:], _sum, (np.zeros(1),))[0]


def extracted(one: Aggregator[Any], part: Part) -> pl.Series:
    """The feature's values, with nulls where there is none."""
    if type(one) not in BUILT_IN:
        return pl.Series([one.extract(state) for state in part[0]], strict=False)
    if isinstance(one, Count):
        return pl.Series(part[0])
    if isinstance(one, Min | Max | First | Last):
        return part[0]  # type: ignore[no-any-return]
    some = part[0] > 0
    with np.errstate(all="ignore"):
        if isinstance(one, Sum):
            values = part[1]
        elif isinstance(one, Mean):
            values = part[1] / part[0]
        else:
            values = np.where(np.isfinite(part[1]), np.sqrt(part[2] / part[0]), np.nan)
    return pl.select(pl.when(pl.Series(some)).then(pl.Series(values))).to_series()


def taken(part: Part, rows: npt.NDArray[np.int64]) -> Part:
    """Some rows of a part."""
    return tuple(column[rows] for column in part)


def joined(first: Part, second: Part) -> Part:
    """The rows of both."""
    return tuple(
        pl.concat([a.to_frame("of"), b.to_frame("of")], how="vertical_relaxed").to_series()
        if isinstance(a, pl.Series)
        else np.concatenate([a, b])
        for a, b in zip(first, second, strict=True)
    )


def _own_states(one: Aggregator[Any], events: pl.DataFrame) -> npt.NDArray[np.object_]:
    values = events[one.of].to_list() if one.of else events.to_dicts()
    zero = one.zero()
    return _objects([NO_VALUE if v is None else one.add(zero, v) for v in values])


def _objects(values: list[Any]) -> npt.NDArray[np.object_]:
    made = np.empty(len(values), dtype=object)
    made[:] = values if not values or not isinstance(values[0], list | tuple) else None
    for place, value in enumerate(values):
        made[place] = value
    return made


def _at(values: pl.Series, rows: npt.NDArray[np.int64]) -> pl.Series:
    """Null where the row is -1."""
    return values.gather(pl.select(pl.when(pl.Series(rows) >= 0).then(pl.Series(rows))).to_series())


def _extreme(one: Aggregator[Any], values: pl.Series, sweep: Sweep) -> pl.Series:
    """Min or Max: of numbers themselves, of anything else by its rank."""
    numeric = values.dtype.is_numeric()
    distinct = values if numeric else values.unique().drop_nulls().sort()
    if not numeric:
        values = values.cast(distinct.dtype).replace_strict(
            distinct, pl.int_range(len(distinct), eager=True), default=None, return_dtype=pl.Int64
        )
    floating = values.dtype.is_float() or values.dtype.is_decimal()
    numbers = values.cast(pl.Float64) if floating else _cast(values, pl.Int64())
    least = isinstance(one, Min)
    none: Any = np.inf if floating else _INT_MAX
    none = none if least else (-np.inf if floating else -_INT_MAX - 1)
    states = (numbers.fill_null(none).to_numpy(), numbers.is_not_null().cast(pl.Int64).to_numpy())
    zero = (np.array([none], dtype=states[0].dtype),)
    best = sweep.merged(states[:1], _least if least else _most, zero)[0]
    found = pl.Series(best).set(pl.Series(sweep.count(states[1]) == 0), None)
    return found if numeric else distinct.gather(found)


def _cast(values: pl.Series, kind: pl.DataType) -> pl.Series:
    try:
        return values.cast(kind)
    except pl.exceptions.InvalidOperationError as error:
        raise OverflowError(f"{values.name!r} has whole numbers beyond 64 bits") from error


def _whole_sum(values: npt.NDArray[np.int64], sweep: Sweep) -> npt.NDArray[np.int64]:
    largest = max(int(values.max(initial=0)), -int(values.min(initial=0)))
    zero = np.zeros(1, dtype=np.int64)
    if largest * max(len(values), 1) <= _INT_MAX:
        return sweep.merged((values,), _sum, (zero,))[0]
    high, low = sweep.merged((values >> 32, values & _LOW), _sums, (zero, zero))
    high += low >> 32
    if high.size and (high.max() >= 1 << 31 or high.min() < -(1 << 31)):
        raise OverflowError("a sum of whole numbers leaves 64 bits")
    return (high << 32) + (low & _LOW)


def _zeros(part: Part) -> Arrays:
    return tuple(np.zeros(1, dtype=column.dtype) for column in part)


def _sum(earlier: Arrays, later: Arrays) -> Arrays:
    return (earlier[0] + later[0],)


def _sums(earlier: Arrays, later: Arrays) -> Arrays:
    return earlier[0] + later[0], earlier[1] + later[1]


def _least(earlier: Arrays, later: Arrays) -> Arrays:
    return (np.minimum(earlier[0], later[0]),)


def _most(earlier: Arrays, later: Arrays) -> Arrays:
    return (np.maximum(earlier[0], later[0]),)


def _spread(earlier: Arrays, later: Arrays) -> Arrays:
    """Source: Chan, Golub, LeVeque 1983."""
    count = earlier[0] + later[0]
    share = later[0] / np.maximum(count, 1)
    apart = later[1] - earlier[1]
    both = earlier[0] * later[0] > 0
    between = np.where(both, apart * apart * earlier[0] * share, 0.0)
    return count, earlier[1] + apart * share, earlier[2] + later[2] + between
