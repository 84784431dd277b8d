"""From the events of a view to its change log.

value(t) is about the events with enter <= t < leave. The log has a row at each distinct enter and
leave, so that value(t) is the row with the greatest valid_from <= t.
"""

from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_values.intervals import Elements, Points, points_of
from components.feature_values.keyed import POLARS_TYPES, TIME, does_not_fit
from components.feature_values.known import known_points
from components.feature_values.ordered import Ordered, in_order, microseconds_of
from components.feature_values.partials import Part, extracted, lifted, reduced
from components.features.view import FeatureView
from components.user_function import described


def changes(view: FeatureView, events: pl.DataFrame, *, known: bool = False) -> pl.DataFrame:
    """The change log of a view.

    Args:
      view: Whose events they are.
      events: As `keyed_events` gives them, in any order, of all its sources.
      known: An event counts once it was created, too: what a reader could know at valid_from.

    Returns:
      keys, valid_from, created, features; one row for each (keys, valid_from), in that order.

    Raises:
      BeamfleetError: an aggregator failed, its values do not fit the schema, or whole numbers
        leave 64 bits.
    """
    return counted_changes(view, events, known=known)[0]


def counted_changes(
    view: FeatureView, events: pl.DataFrame, *, known: bool = False
) -> tuple[pl.DataFrame, int]:
    """`changes`, and how many events were left out as duplicates."""
    logs, duplicates = [], 0
    for ordered in in_order(view, events):
        elements = elements_of(view, ordered)
        duplicates += ordered.duplicates
        spots = (
            known_points(view.transformer.window, elements)
            if known
            else [(elements, points_of(view.transformer.window, elements))]
        )
        parts = [log_of(view, some, points) for some, points in spots]
        logs.append(
            parts[0] if len(parts) == 1 else pl.concat(parts).sort(*view.keys, "valid_from")
        )
    return pl.concat(logs), duplicates


def elements_of(view: FeatureView, ordered: Ordered) -> Elements:
    """Events as partial aggregates."""
    time = microseconds_of(ordered.events, "event_time")
    created = microseconds_of(ordered.events, "created")
    parts = tuple(
        _guarded(view, feature, lifted, one, ordered.events) for feature, one in _features(view)
    )
    return Elements(ordered.keys, ordered.code, time, created, parts)


def reduced_parts(view: FeatureView, elements: Elements, points: Points) -> tuple[Part, ...]:
    """The partial aggregates at each change point, of each aggregator."""
    return tuple(
        _guarded(view, feature, reduced, one, part, points.sweep)
        for (feature, one), part in zip(_features(view), elements.parts, strict=True)
    )


def log_of(view: FeatureView, elements: Elements, points: Points) -> pl.DataFrame:
    """The rows of the change log at change points."""
    return as_log(view, elements.keys, points, reduced_parts(view, elements, points))


def as_log(
    view: FeatureView, keys: pl.DataFrame, points: Points, parts: tuple[Part, ...]
) -> pl.DataFrame:
    """Rows of the change log from the partial aggregates of each point."""
    columns = keys[points.code].get_columns()
    columns += [pl.Series("valid_from", points.time).cast(TIME)]
    columns += [pl.Series("created", points.created).cast(TIME)]
    for (feature, one), part in zip(_features(view), parts, strict=True):
        values = _guarded(view, feature, extracted, one, part)
        columns.append(_typed(view, feature, values).alias(feature))
    return pl.DataFrame(columns)


def _features(view: FeatureView) -> list[tuple[str, Any]]:
    return list(zip(view.features, view.transformer.aggregators, strict=True))


def _guarded(view: FeatureView, feature: str, made: Any, one: Any, *rest: Any) -> Any:
    try:
        return made(one, *rest)
    except Exception as error:
        what = str(error) if isinstance(error, OverflowError) else described(error)
        raise BeamfleetError(
            f"view {view.name!r}, feature {feature!r}: {type(one).__name__} of "
            f"{one.of or 'events'!r} failed: {what}"
        ) from error


def _typed(view: FeatureView, feature: str, values: pl.Series) -> pl.Series:
    """The values in the type of the schema, if that takes nothing off them.

    Raises:
      BeamfleetError: it would.
    """
    kind = POLARS_TYPES[view.schema[feature]]
    if values.dtype == kind:
        return values
    wrong = does_not_fit(values.dtype, kind)
    typed = values.cast(kind, strict=False)
    if wrong or typed.null_count() > values.null_count() or _cut(values, typed):
        raise BeamfleetError(
            f"view {view.name!r}, feature {feature!r}: its values are {values.dtype}, and do not "
            f"all fit into {view.schema[feature].__name__}, which its schema says"
        )
    return typed


def _cut(values: pl.Series, typed: pl.Series) -> bool:
    if not (values.dtype.is_float() and typed.dtype == pl.Int64):
        return False
    return bool((typed.cast(pl.Float64) != values).any())
