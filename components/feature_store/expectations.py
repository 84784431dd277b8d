"""Stops values that are not as a view expects, before anyone may read them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.features.durations import as_text, microseconds
from components.features.expectations import (
    CountAgainstYesterday,
    Expectation,
    Fresh,
    InRange,
    NullShare,
)
from components.features.view import FeatureView
from components.printable import printable

_EXAMPLES = 3


def check_expectations(
    view: FeatureView, log: pl.LazyFrame, events: pl.LazyFrame, as_of: datetime | None
) -> None:
    """Checks what a view expects on what was made for it.

    Args:
      log: Its change log: keys, valid_from, features.
      events: The events of the log: keys and event_time.
      as_of: Point in time of the backfill; None: now.

    Raises:
      BeamfleetError: something does not hold; names each expectation, what was found, and entities.
    """
    at = as_of or datetime.now(UTC)
    found = [
        f"{expectation}: {said}"
        for expectation in view.expectations
        for said in _broken(expectation, view, log, events, at)
    ]
    if found:
        raise BeamfleetError(
            f"view {view.name!r} version {view.version} is not as it expects, and stays as it was:"
            + "".join(f"\n  {line}" for line in found)
            + "\nMend the source, or expect otherwise"
        )


def _broken(
    one: Expectation, view: FeatureView, log: pl.LazyFrame, events: pl.LazyFrame, at: datetime
) -> Iterator[str]:
    """What was found instead; nothing where all is well."""
    match one:
        case InRange():
            yield from _out_of_range(one, view, log)
        case NullShare():
            yield from _too_many_nulls(one, view, log)
        case Fresh():
            yield from _stale(one, view, events, at)
        case CountAgainstYesterday():
            yield from _another_count(one, events, at)


def _out_of_range(one: InRange, view: FeatureView, log: pl.LazyFrame) -> Iterator[str]:
    value = pl.col(one.feature)
    outside = pl.lit(False)
    if one.min is not None:
        outside |= value < one.min
    if one.max is not None:
        outside |= value > one.max
    if view.schema[one.feature] is float:
        outside |= value.is_nan()
    bad = log.filter(value.is_not_null() & outside)
    count = bad.select(pl.len()).collect().item()
    if count:
        yield (
            f"{count} of {_height(log)} values lie outside, such as "
            f"{_examples(view, bad, 'valid_from', one.feature)}"
        )


def _too_many_nulls(one: NullShare, view: FeatureView, log: pl.LazyFrame) -> Iterator[str]:
    nulls = log.filter(pl.col(one.feature).is_null())
    count, height = nulls.select(pl.len()).collect().item(), _height(log)
    if count > one.max * height:
        yield (
            f"{count} of {height} values are null ({count / height:.1%}), such as "
            f"{_examples(view, nulls, 'valid_from')}"
        )


def _stale(one: Fresh, view: FeatureView, events: pl.LazyFrame, at: datetime) -> Iterator[str]:
    newest = events.select(pl.col("event_time").max()).collect().item()
    if newest is None:
        yield "there are no events"
    elif at - newest > timedelta(microseconds=microseconds(one.within, "within of Fresh")):
        last = events.filter(pl.col("event_time") == newest)
        age = as_text((at - newest) // timedelta(microseconds=1))
        yield (
            f"the newest event is {age} older than {at.isoformat()}, that of "
            f"{_examples(view, last, 'event_time')}"
        )


def _another_count(one: CountAgainstYesterday, events: pl.LazyFrame, at: datetime) -> Iterator[str]:
    """Of UTC days. Of the first day with events nothing can be said."""
    today = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    last, before = today - timedelta(days=1), today - timedelta(days=2)
    time = pl.col("event_time")
    found = events.select(
        last=(time.is_between(last, today, closed="left")).sum(),
        before=(time.is_between(before, last, closed="left")).sum(),
        first=time.min(),
    ).collect()
    count, expected, first = found.row(0)
    begun = first is not None and first < last
    if begun and not one.min * expected <= count <= one.max * expected:
        yield f"{count} events on {last:%Y-%m-%d}, {expected} on {before:%Y-%m-%d}"


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def _examples(view: FeatureView, rows: pl.LazyFrame, *columns: str) -> str:
    few = rows.select(*view.keys, *columns).head(_EXAMPLES).collect().to_dicts()
    return "; ".join(
        ", ".join(f"{name} {_shown(value)}" for name, value in row.items()) for row in few
    )


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else printable(str(value))
