"""Events as every road reads them: the same columns for stream, backfill and join.

A frame of keyed events has the view's keys, `event_time`, `created` (both datetime[us, UTC]),
`event_id` (text or null) and the columns that the view's aggregators read; of several sources, the
columns that one does not have are null in its events.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

import polars as pl

from components.errors import BeamfleetError
from components.feature_values.by_row import called, check_each_row_for_itself
from components.feature_values.exact import exactly
from components.features.aggregator import First, Last, Max, Mean, Min, Std, Sum
from components.features.names import RESERVED
from components.features.source import Source
from components.features.view import FeatureView

TIME = pl.Datetime("us", "UTC")
POLARS_TYPES: dict[type, pl.DataType] = {
    float: pl.Float64(), int: pl.Int64(), str: pl.String(), bool: pl.Boolean(), datetime: TIME,
}  # fmt: skip


_NARROWEST_FIRST = (pl.Boolean(), pl.Int64(), pl.Float64(), pl.String(), TIME)
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
    places: pl.Series
    """`row` of each event, as of rejects."""
    absent: tuple[str, ...] = ()
    """Columns that were not there after the event_transform, of `keyed_alone`."""


def keyed_events(view: FeatureView, source: Source, rows: pl.DataFrame) -> Keyed:
    """Applies the view's event_transform for a source to rows of it, and checks what comes out.

    A column that an aggregator of our own reads has the type of its feature, or float for Mean and
    Std: a row whose value does not fit into it exactly is rejected.

    Args:
      view: Whose events they become.
      source: One of the view's sources.
      rows: As the source has them.

    Raises:
      BeamfleetError: a column is missing or of a type that cannot be meant, the event_transform
        raised, made rows, or made of a row what depends on others.
    """
    left = transformed(view, source, _timed(view, source, rows))
    if missing := missing_columns(view, source, left):
        raise BeamfleetError(
            f"{_where(view, source)}: no column {', '.join(missing)} after event_transform; it has "
            f"{', '.join(name for name in left.columns if name != _ROW)}"
        )
    return _checked(_Columns(view, source, left, by_row=False), rows.height)


def keyed_alone(view: FeatureView, source: Source, rows: pl.DataFrame) -> Keyed:
    """Like `keyed_events`, of rows that have no types of their own, as those of JSON.

    A column of a type that cannot be meant is a reject of every row that has a value there; one
    that is missing is null.

    Raises:
      BeamfleetError: the event_transform raised, made rows, or made of a row what depends on
        others.
    """
    left = transformed(view, source, _timed(view, source, rows, by_row=True))
    absent = missing_columns(view, source, left)
    left = left.with_columns(pl.lit(None).alias(name) for name in absent)
    made = _checked(_Columns(view, source, left, by_row=True), rows.height)
    return replace(made, absent=tuple(absent))


@dataclass
class _Columns:
    """Columns of keyed events, one by one, and why rows of them do not fit."""

    view: FeatureView
    source: Source
    left: pl.DataFrame
    by_row: bool
    reasons: list[pl.Series] = field(default_factory=list)

    def put(
        self, made: Callable[[pl.Series], pl.Series], name: str, kind: pl.DataType, said: str = ""
    ) -> pl.Series:
        """A column by a function of it; `said`: why rows are rejected that become null by it."""
        given = self.left[name]
        try:
            values = made(given)
        except BeamfleetError as error:
            if not self.by_row:
                raise
            values, said = pl.Series([None], dtype=kind).new_from_index(0, given.len()), str(error)
        lost = values.is_null() & given.is_not_null()
        if said and lost.any():
            self.reasons.append(pl.select(pl.when(lost).then(pl.lit(said))).to_series())
        return values


def _checked(of: _Columns, rows_in: int) -> Keyed:
    view, source, left = of.view, of.source, of.left
    keys = {name: POLARS_TYPES[kind] for name, kind in view.key_types.items()}
    time = view.timestamp_field or source.event_time
    created = source.created or time
    columns = {
        name: of.put(partial(_as_key, kind=kind, view=view, source=source), name, kind)
        for name, kind in keys.items()
    }
    for column, name in (("event_time", time), ("created", created)):
        what = f"{_where(view, source)}: {name}"
        columns[column] = of.put(partial(_as_moment, what=what), name, TIME)
    columns["event_id"] = (
        of.put(lambda one: _as_id(one, view, source), source.id, pl.String())
        if source.id
        else pl.Series([None], dtype=pl.String).new_from_index(0, left.height)
    )
    for name in value_columns(view):
        if name not in columns:
            columns[name] = _value(of, name)
    events = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    said = [*((key, key) for key in keys), ("event_time", time), ("created", created)]
    reason = pl.coalesce(
        *of.reasons,
        *(
            pl.when(pl.col(name).is_null()).then(pl.lit(f"{word} is missing or cannot be read"))
            for name, word in said
        ),
    )
    marked = events.with_columns(_row_numbers(left), reason.alias("reason"))
    bad = marked.filter(pl.col("reason").is_not_null()).select(row=_ROW, reason="reason")
    good = marked.filter(pl.col("reason").is_null())
    return Keyed(good.drop(_ROW, "reason"), bad, rows_in - left.height, good[_ROW])


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


def _as_moment(values: pl.Series, what: str) -> pl.Series:
    return _in_reach(as_time(values, what))


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


def _timed(
    view: FeatureView, source: Source, rows: pl.DataFrame, *, by_row: bool = False
) -> pl.DataFrame:
    """A stream has text where the history has timestamps: the event_transform sees the same."""
    times = [name for name in (source.event_time, source.created) if name in rows.columns]
    if by_row:
        times = [name for name in times if not does_not_fit(rows.schema[name], TIME)
                 or rows.schema[name] == pl.String]  # fmt: skip
    return rows.with_columns(
        as_time(rows[name], f"{_where(view, source)}: {name}") for name in times if name
    )


def transformed(view: FeatureView, source: Source, rows: pl.DataFrame) -> pl.DataFrame:
    """What the event_transform leaves, with our numbers of rows."""
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


def missing_columns(view: FeatureView, source: Source, left: pl.DataFrame) -> list[str]:
    """Columns that have to be there after the event_transform, and are not."""
    asked = [*view.keys, view.timestamp_field or source.event_time]
    asked += filter(None, [source.created, source.id])
    if len(view.sources) == 1:
        asked += [name for name in value_columns(view) if name not in RESERVED]
    return [name for name in dict.fromkeys(asked) if name not in left.columns]


def _as_key(values: pl.Series, kind: pl.DataType, view: FeatureView, source: Source) -> pl.Series:
    if not (values.dtype.is_integer() or values.dtype in (pl.String, pl.Categorical, pl.Null)):
        raise BeamfleetError(
            f"{_where(view, source)}: key {values.name} is {values.dtype}, expected text or "
            "integers"
        )
    return values.cast(kind, strict=False)


def _as_id(values: pl.Series, view: FeatureView, source: Source) -> pl.Series:
    if values.dtype.is_nested():
        raise BeamfleetError(
            f"{_where(view, source)}: id {values.name} is {values.dtype}, expected text or integers"
        )
    return values.cast(pl.String)


def _value(of: _Columns, name: str) -> pl.Series:
    kind = value_type(of.view, name)
    if name not in of.left.columns:
        return pl.Series([None], dtype=kind or pl.Null()).new_from_index(0, of.left.height)
    said = "" if kind is None else (
        f"{_where(of.view, of.source)}: {name} does not fit exactly into {kind}, as which it is "
        "read by the view"
    )  # fmt: skip
    return of.put(lambda one: _typed(of, one, kind), name, kind or pl.Null(), said)


def value_type(view: FeatureView, name: str) -> pl.DataType | None:
    """What the view's aggregators read a column as; None: as it is."""
    kinds = {
        pl.Float64() if isinstance(one, Mean | Std) else POLARS_TYPES[feature]
        for one, feature in zip(view.transformer.aggregators, view.schema.values(), strict=True)
        if one.of == name and type(one) in (*_NUMBERS, *_KEPT)
    }
    narrowest = (kind for kind in _NARROWEST_FIRST if kind in kinds)
    return next(narrowest, None)


def _typed(of: _Columns, values: pl.Series, kind: pl.DataType | None) -> pl.Series:
    numeric = values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)
    for one, feature in zip(of.view.transformer.aggregators, of.view.schema.values(), strict=True):
        if one.of != values.name:
            continue
        expected = ""
        if isinstance(one, _NUMBERS) and not numeric:
            expected = "numbers"
        if isinstance(one, _KEPT) and does_not_fit(values.dtype, POLARS_TYPES[feature]):
            expected = f"{feature.__name__} as the view's schema says"
        if expected:
            raise BeamfleetError(
                f"{_where(of.view, of.source)}: {type(one).__name__} reads {values.name!r}, which "
                f"is {values.dtype}, expected {expected}"
            )
    if isinstance(values.dtype, pl.Datetime) or kind == TIME:
        return as_time(values, f"{_where(of.view, of.source)}: {values.name}")
    if kind is not None:
        return exactly(values, kind)
    return _in_64_bits(values, of.view, of.source) if values.dtype in _WIDE else values


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
