"""Events as every road reads them: the same columns for stream, backfill and join.

A frame of keyed events has the view's keys, `event_time`, `created` (both datetime[us, UTC]),
`event_id` (text or null) and the columns that the view's aggregators read; of several sources, the
columns that one does not have are null in its events.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from components.errors import BeamfleetError
from components.feature_values.by_row import called, check_each_row_for_itself
from components.features.aggregator import First, Last, Max, Mean, Min, Std, Sum
from components.features.names import RESERVED
from components.features.source import Source
from components.features.view import FeatureView

TIME = pl.Datetime("us", "UTC")
POLARS_TYPES: dict[type, pl.DataType] = {
    float: pl.Float64(), int: pl.Int64(), str: pl.String(), bool: pl.Boolean(), datetime: TIME,
}  # fmt: skip


_ROW = "__row__"
_REACH = datetime(1, 1, 1, tzinfo=UTC), datetime(9700, 1, 1, tzinfo=UTC)
_WIDE = (pl.Int128, pl.UInt128)
_NUMBERS = (Sum, Mean, Std)
_KEPT = (Min, Max, First, Last)
_TEXT_TIME = r"^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?)?(Z|[+-]\d\d:?\d\d)?$"


@dataclass(frozen=True)
class Keyed:
    """Events of one batch, counted: rows in = height of events + of rejects + filtered."""

    events: pl.DataFrame
    rejects: pl.DataFrame
    """`row` (of the batch, from 0; null if the event_transform dropped our column) and `reason`."""
    filtered: int
    """Rows that the event_transform left out."""


def keyed_events(view: FeatureView, source: Source, rows: pl.DataFrame) -> Keyed:
    """Applies the view's event_transform for a source to rows of it, and checks what comes out.

    Args:
      view: Whose events they become.
      source: One of the view's sources.
      rows: As the source has them.

    Raises:
      BeamfleetError: a column is missing or of a type that cannot be meant, the event_transform
        raised, made rows, or made of a row what depends on others.
    """
    left = _transformed(view, source, _timed(view, source, rows))
    missing = [name for name in _asked_for(view, source) if name not in left.columns]
    if missing:
        raise BeamfleetError(
            f"{_where(view, source)}: no column {', '.join(missing)} after event_transform; it has "
            f"{', '.join(name for name in left.columns if name != _ROW)}"
        )
    columns = {
        name: _as_key(left[name], POLARS_TYPES[kind], view, source)
        for name, kind in view.key_types.items()
    }
    time = view.timestamp_field or source.event_time
    columns["event_time"] = _in_reach(as_time(left[time], f"{_where(view, source)}: {time}"))
    created = source.created or time
    columns["created"] = _in_reach(as_time(left[created], f"{_where(view, source)}: {created}"))
    absent = pl.Series([None], dtype=pl.String).extend_constant(None, max(left.height - 1, 0))
    columns["event_id"] = left[source.id].cast(pl.String) if source.id else absent[: left.height]
    for name in value_columns(view):
        columns.setdefault(name, _value(view, source, left, name))
    events = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    reason = pl.coalesce(
        pl.when(pl.col(name).is_null()).then(pl.lit(f"{said} is missing or cannot be read"))
        for name, said in [
            *((key, key) for key in view.keys),
            ("event_time", time),
            ("created", created),
        ]
    )
    marked = events.with_columns(_row_numbers(left), reason.alias("reason"))
    bad = marked.filter(pl.col("reason").is_not_null()).select(row=_ROW, reason="reason")
    good = marked.filter(pl.col("reason").is_null()).drop(_ROW, "reason")
    return Keyed(good, bad, rows.height - left.height)


def value_columns(view: FeatureView) -> tuple[str, ...]:
    """The columns of events that the view's aggregators read."""
    return tuple(dict.fromkeys(one.of for one in view.transformer.aggregators if one.of))


def as_time(values: pl.Series, what: str) -> pl.Series:
    """Times as microseconds in UTC; null where a text is no time. Nanoseconds are cut off.

    Raises:
      BeamfleetError: the column holds neither timestamps nor text.
    """
    if isinstance(values.dtype, pl.Datetime):
        zoned = values.dt.replace_time_zone("UTC") if values.dtype.time_zone is None else values
        return zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if values.dtype == pl.Date:
        return values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if values.dtype == pl.Null:
        return values.cast(TIME)
    if values.dtype != pl.String:
        raise BeamfleetError(
            f"{what} is {values.dtype}, expected timestamps, or text such as 2024-05-01T12:30:00Z"
        )
    day, minute, second, zone = (values.str.extract(_TEXT_TIME, group) for group in range(1, 5))
    text = day + "T" + minute.fill_null("00:00") + second.fill_null(":00")
    iso = text + zone.fill_null("+0000").replace("Z", "+0000").str.replace(":", "", literal=True)
    return iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)


def _in_reach(times: pl.Series) -> pl.Series:
    """Null beyond the years of `_REACH`, whose times plus two windows Python and polars can say."""
    return times.set(~times.is_between(*_REACH), None)


def does_not_fit(given: pl.DataType, kind: pl.DataType) -> bool:
    """Whether a cast would read or write text, or take times for numbers."""
    if given in (kind, pl.Null):
        return False
    if kind == pl.String:
        return given not in (pl.Categorical, pl.Enum)
    if kind == TIME:
        return not isinstance(given, pl.Datetime) and given != pl.Date
    if kind == pl.Boolean:
        return True
    return not (given.is_numeric() or given == pl.Boolean)


def _timed(view: FeatureView, source: Source, rows: pl.DataFrame) -> pl.DataFrame:
    """A stream has text where the history has timestamps: the event_transform sees the same."""
    times = [name for name in (source.event_time, source.created) if name in rows.columns]
    return rows.with_columns(
        as_time(rows[name], f"{_where(view, source)}: {name}") for name in times if name
    )


def _transformed(view: FeatureView, source: Source, rows: pl.DataFrame) -> pl.DataFrame:
    transform = view.transformer.event_transforms[view.sources.index(source)]
    given = rows.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(_ROW))
    what = f"{_where(view, source)}: event_transform"
    left = called(transform, given, what, _ROW)
    if left.height > rows.height or (_ROW in left.columns and left[_ROW].n_unique() < left.height):
        raise BeamfleetError(
            f"{what} made {left.height} rows of {rows.height}; it may add columns and leave out "
            "rows, not make any"
        )
    check_each_row_for_itself(transform, given, what, _ROW)
    return left


def _asked_for(view: FeatureView, source: Source) -> list[str]:
    """Columns that have to be there after the event_transform."""
    asked = [*view.keys, view.timestamp_field or source.event_time]
    asked += filter(None, [source.created, source.id])
    if len(view.sources) == 1:
        asked += [name for name in value_columns(view) if name not in RESERVED]
    return asked


def _as_key(values: pl.Series, kind: pl.DataType, view: FeatureView, source: Source) -> pl.Series:
    if not (values.dtype.is_integer() or values.dtype in (pl.String, pl.Categorical, pl.Null)):
        raise BeamfleetError(
            f"{_where(view, source)}: key {values.name} is {values.dtype}, expected text or "
            "integers"
        )
    return values.cast(kind, strict=False)


def _value(view: FeatureView, source: Source, left: pl.DataFrame, name: str) -> pl.Series:
    if name not in left.columns:
        return pl.Series([None] * left.height, dtype=pl.Null)
    values = left[name]
    numeric = values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)
    for one, feature in zip(view.transformer.aggregators, view.schema.values(), strict=True):
        if one.of != name:
            continue
        expected = ""
        if isinstance(one, _NUMBERS) and not numeric:
            expected = "numbers"
        if isinstance(one, _KEPT) and does_not_fit(values.dtype, POLARS_TYPES[feature]):
            expected = f"{feature.__name__} as the view's schema says"
        if expected:
            raise BeamfleetError(
                f"{_where(view, source)}: {type(one).__name__} reads {name!r}, which is "
                f"{values.dtype}, expected {expected}"
            )
    if isinstance(values.dtype, pl.Datetime):
        return as_time(values, f"{_where(view, source)}: {name}")
    return _in_64_bits(values, view, source) if values.dtype in _WIDE else values


def _in_64_bits(values: pl.Series, view: FeatureView, source: Source) -> pl.Series:
    """Integers of JSON beyond 64 bits fit into no feature and no file."""
    narrow = values.cast(pl.Int64, strict=False)
    if narrow.null_count() > values.null_count():
        raise BeamfleetError(
            f"{_where(view, source)}: {values.name!r} has integers beyond 64 bits; let "
            "event_transform make floats or text of them"
        )
    return narrow


def _row_numbers(left: pl.DataFrame) -> pl.Series:
    if _ROW in left.columns:
        return left[_ROW]
    return pl.Series(_ROW, [None] * left.height, dtype=pl.Int64)


def _where(view: FeatureView, source: Source) -> str:
    return f"view {view.name!r}, source {source.name!r}"
