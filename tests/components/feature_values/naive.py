"""Values by their definition, event by event: slow, and hard to get wrong."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from components.features.aggregator import Aggregator
from components.features.view import FeatureView
from components.features.window import Lifetime, Rolling, Session, Tumbling

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
Row = dict[str, Any]


def value_at(
    view: FeatureView, keyed: pl.DataFrame, key: Sequence[Any], at: datetime, known: bool = False
) -> tuple[Any, ...]:
    """The features of one entity at one time.

    Args:
      keyed: As `keyed_events` gives them.
      known: Of the events that had been created by `at` only.
    """
    rows = [row for row in keyed.to_dicts() if [row[name] for name in view.keys] == list(key)]
    counting = _window(view, [r for r in _once(rows) if not known or r["created"] <= at], at)
    return tuple(_aggregated(one, counting) for one in view.transformer.aggregators)


def _once(rows: list[Row]) -> list[Row]:
    """In order; of equal event time and id the first that was created."""
    ordered = sorted(rows, key=lambda r: [_orderable(r[n]) for n in _order(r)])
    seen: set[Any] = set()
    kept = []
    for row in ordered:
        identity = (row["event_time"], row["event_id"])
        if row["event_id"] is None or identity not in seen:
            kept.append(row)
        seen.add(identity)
    return kept


def _order(row: Row) -> list[str]:
    first = ["event_time", "created", "event_id"]
    return [*first, *(name for name in row if name not in first)]


def _orderable(value: Any) -> Any:
    return (value is not None, value)


def _window(view: FeatureView, rows: list[Row], at: datetime) -> list[Row]:
    window, past = view.transformer.window, [row for row in rows if row["event_time"] <= at]
    match window:
        case Lifetime():
            return past
        case Rolling():
            size = timedelta(microseconds=window.size_us)
            return [row for row in past if row["event_time"] > at - size]
        case Tumbling():
            size = timedelta(microseconds=window.size_us)
            end = EPOCH + (at - EPOCH) // size * size
            return [row for row in past if end - size <= row["event_time"] < end]
        case Session():
            return _session(past, at, timedelta(microseconds=window.gap_us))
    raise AssertionError(window)


def _session(past: list[Row], at: datetime, gap: timedelta) -> list[Row]:
    if not past or at - past[-1]["event_time"] >= gap:
        return []
    start = len(past) - 1
    while start and past[start]["event_time"] - past[start - 1]["event_time"] < gap:
        start -= 1
    return past[start:]


def _aggregated(one: Aggregator[Any], rows: list[Row]) -> Any:
    state = one.zero()
    for row in rows:
        value = row[one.of] if one.of else row
        if value is not None:
            state = one.add(state, value)
    return one.extract(state)
