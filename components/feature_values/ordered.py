"""Events in the order of their keys and times, each once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from components.features.view import FeatureView
from components.features.window import Lifetime, Session, Window

Ints = npt.NDArray[np.int64]
_MOST = 1 << 62
_CODE, _AT = "__code__", "__at__"


@dataclass(frozen=True)
class Ordered:
    """Events in the order of (keys, event_time, created, event_id, values), nulls first."""

    keys: pl.DataFrame
    """Each key once, in order."""
    code: Ints
    """Of each event: the row of its key."""
    events: pl.DataFrame
    duplicates: int
    """Events left out because another has their key, time and id."""


def in_order(view: FeatureView, events: pl.DataFrame) -> Iterator[Ordered]:
    """Sorts keyed events and leaves out duplicates.

    Several parts come only where keys times microseconds do not fit into 62 bits: each has other
    keys, behind those of the part before.
    """
    keys = events.select(view.keys).unique().sort(view.keys)
    coded = events.select(view.keys).join(
        keys.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(_CODE)),
        on=list(view.keys), how="left", maintain_order="left",
    )  # fmt: skip
    code = coded[_CODE].to_numpy()
    times = (microseconds_of(events, name) for name in ("event_time", "created"))
    width = key_width(view.transformer.window, *times)
    most = _MOST // width
    if keys.height <= most:
        yield _ordered(keys, code, events, width)
        return
    for first in range(0, keys.height, most):
        some = (code >= first) & (code < first + most)
        yield _ordered(
            keys.slice(first, most), code[some] - first, events.filter(pl.Series(some)), width
        )


def microseconds_of(events: pl.DataFrame, column: str) -> Ints:
    """Times as whole microseconds since 1970."""
    return events[column].to_physical().to_numpy()


def key_width(window: Window, *times: Ints) -> int:
    """How far apart two keys have to lie on one axis of times, so that their windows never meet."""
    low = min((int(one.min()) for one in times if one.size), default=0)
    high = max((int(one.max()) for one in times if one.size), default=0)
    return high - low + 2 * _length(window) + 2


def _length(window: Window) -> int:
    if isinstance(window, Lifetime):
        return 0
    return window.gap_us if isinstance(window, Session) else window.size_us  # type: ignore[attr-defined]


def _ordered(keys: pl.DataFrame, code: Ints, events: pl.DataFrame, width: int) -> Ordered:
    times = microseconds_of(events, "event_time")
    at = code * width + (times - (times.min() if times.size else 0))
    if not bool(np.all(at[1:] >= at[:-1])):
        order = pl.Series(at).arg_sort().to_numpy()
        at, code, events = at[order], code[order], events[order]
    same = at[1:] == at[:-1]
    if not same.any():
        return Ordered(keys, code, events, 0)
    tied = np.zeros(len(at), dtype=bool)
    tied[1:] |= same
    tied[:-1] |= same
    rows = np.flatnonzero(tied)
    order, first = _ties(at[rows], events[rows])
    events = pl.concat([events[np.flatnonzero(~tied)], events[rows[order]]])
    place = np.empty(len(at), dtype=np.int64)
    place[np.flatnonzero(~tied)] = np.arange(len(at) - len(rows))
    place[rows] = np.arange(len(at) - len(rows), len(at))
    kept = np.ones(len(at), dtype=bool)
    kept[rows] = first
    return Ordered(keys, code[kept], events[place[kept]], int(len(at) - kept.sum()))


def _ties(at: Ints, events: pl.DataFrame) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Of events that share key and time: their order, and which are the first of their id."""
    numbered = events.with_columns(pl.Series(_AT, at)).with_row_index(_CODE)
    by = [name for name in events.columns if name not in ("event_time", "created", "event_id")]
    by = [name for name in by if not events.schema[name].is_nested()]
    ordered = numbered.sort(_AT, "created", "event_id", *by, maintain_order=True)
    first = ordered.select(
        pl.col("event_id").is_null() | pl.struct(_AT, "event_id").is_first_distinct()
    )
    return ordered[_CODE].cast(pl.Int64).to_numpy(), first.to_series().to_numpy()
