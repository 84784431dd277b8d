"""Frames of any kind become rows of a group, or are refused as a whole."""

from datetime import datetime
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from components.errors import BeamfleetError
from components.feature_values.keyed import POLARS_TYPES, as_time
from components.features.group import FeatureGroup
from components.features.names import FeatureType
from components.user_function import described

VALID_FROM, CREATED = "valid_from", "created"
_NAMED = 5


def as_polars(frame: Any, where: str) -> pl.DataFrame:
    """A polars, pandas or Arrow frame as a polars one; NaN of pandas is null.

    Raises:
      BeamfleetError: it is none of them, or has a column of mixed types.
    """
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    kind = f"{type(frame).__module__}.{type(frame).__name__}"
    try:
        if kind == "pandas.core.frame.DataFrame":
            return pl.DataFrame(pl.from_pandas(frame))
        if kind in ("pyarrow.lib.Table", "pyarrow.lib.RecordBatch"):
            return pl.DataFrame(frame)
    except (ValueError, TypeError, PolarsError) as error:
        raise BeamfleetError(f"{where}: cannot read the frame: {described(error)}") from error
    raise BeamfleetError(f"{where}: got {kind}, expected a polars, pandas or Arrow frame")


def rows_of(group: FeatureGroup, frame: pl.DataFrame) -> pl.DataFrame:
    """Keys, valid_from, created (if the group has the column) and features, each row once.

    Raises:
      BeamfleetError: columns are missing, left over or of another type, a key or time is null, or
        two rows of the same key and time differ.
    """
    columns = [*group.keys, group.event_time, *filter(None, [group.created]), *group.features]
    _check_columns(group, columns, frame.columns)
    made = {name: _key(group, frame[name], kind) for name, kind in group.key_types.items()}
    made[VALID_FROM] = _value(group, frame[group.event_time], datetime)
    if group.created:
        made[CREATED] = _value(group, frame[group.created], datetime)
    for name in made:
        _refuse(group, made[name].is_null(), f"{_given_name(group, name)} is null")
    made |= {name: _value(group, frame[name], kind) for name, kind in group.schema.items()}
    rows = pl.DataFrame([series.alias(name) for name, series in made.items()])
    once = rows.unique(maintain_order=True)
    names = identity(group)
    if once.select(names).is_duplicated().any():
        twice = once.filter(once.select(names).is_duplicated())
        marked = rows.with_row_index("row").join(twice, on=names, how="semi")
        _refuse_rows(group, marked["row"].to_list(), "same key and time, and different values")
    return once


def identity(group: FeatureGroup) -> list[str]:
    """Columns that say which row it is; a row with the same ones takes its place."""
    return [*group.keys, VALID_FROM, *([CREATED] if group.created else [])]


def where_of(group: FeatureGroup) -> str:
    """How errors name a group."""
    return f"feature group {group.name!r}, version {group.version}"


def _check_columns(group: FeatureGroup, expected: list[str], given: list[str]) -> None:
    missing = [name for name in expected if name not in given]
    more = [name for name in given if name not in expected]
    if missing or more:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has also {', '.join(more)}"] if more else []
        raise BeamfleetError(
            f"{where_of(group)}: the frame {' and '.join(parts)}; expected {', '.join(expected)}. "
            "Other columns need a new version"
        )


def _key(group: FeatureGroup, values: pl.Series, kind: FeatureType) -> pl.Series:
    integers = values.dtype.is_integer()
    if values.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null) or (kind is str and integers):
        values = values.cast(pl.String) if kind is str else values
    if values.dtype != POLARS_TYPES[kind] and not (kind is int and integers):
        expected = "text or integers" if kind is str else "integers"
        raise _wrong_type(group, values, expected)
    return _cast(group, values, kind)


def _value(group: FeatureGroup, values: pl.Series, kind: FeatureType) -> pl.Series:
    """A feature or a time in its type; what would lose something is refused."""
    given = values.dtype
    if given == pl.Null:
        return values.cast(POLARS_TYPES[kind])
    if kind is datetime:
        times = as_time(values, f"{where_of(group)}: {values.name}")
        _refuse(group, times.is_null() & values.is_not_null(), f"{values.name} is no time")
        return times
    if kind is str and given in (pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    fits = given.is_numeric() if kind in (int, float) else given == POLARS_TYPES[kind]
    if not fits:
        raise _wrong_type(group, values, kind.__name__)
    return _cast(group, values, kind)


def _cast(group: FeatureGroup, values: pl.Series, kind: FeatureType) -> pl.Series:
    made = values.cast(POLARS_TYPES[kind], strict=False)
    lost = made.is_null() & values.is_not_null()
    if kind is int and values.dtype.is_float():
        lost |= (made.cast(pl.Float64) != values).fill_null(False)
    _refuse(group, lost, f"{values.name} is not {kind.__name__}")
    return made


def _wrong_type(group: FeatureGroup, values: pl.Series, expected: str) -> BeamfleetError:
    return BeamfleetError(
        f"{where_of(group)}: column {values.name} is {values.dtype}, expected {expected}"
    )


def _refuse(group: FeatureGroup, wrong: pl.Series, reason: str) -> None:
    if wrong.any():
        _refuse_rows(group, wrong.arg_true().to_list(), reason)


def _refuse_rows(group: FeatureGroup, rows: list[int], reason: str) -> None:
    named = ", ".join(map(str, rows[:_NAMED]))
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    raise BeamfleetError(
        f"{where_of(group)}: {reason} in row {named}{more} of the frame (from 0); nothing was "
        "inserted"
    )


def _given_name(group: FeatureGroup, name: str) -> str:
    return {VALID_FROM: group.event_time, CREATED: group.created or ""}.get(name, name)
