"""Rows of a request: entity keys, and the columns that come with the request."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_values.keyed import POLARS_TYPES, as_time
from components.feature_values.on_demand import as_declared
from components.features.names import FeatureType
from components.features.service import FeatureService

_WORDS: Mapping[type, str] = {
    str: "text", int: "a whole number of 64 bits", float: "a number", bool: "true or false",
    datetime: "a time such as 2024-05-01T12:30:00Z",
}  # fmt: skip
_TAKEN: Mapping[type, frozenset[type]] = {
    str: frozenset({str}), int: frozenset({int}), float: frozenset({float, int}),
    bool: frozenset({bool}), datetime: frozenset({str}),
}  # fmt: skip
_SHOWN = 60
_INT64 = range(-(2**63), 2**63)


class RowError(BeamfleetError):
    """What was asked cannot be meant; the message names row and column."""


def columns_of(service: FeatureService) -> dict[str, FeatureType]:
    """What a request has to have: the keys of all entities, and the service's request columns."""
    return service.key_types | service.request


def frame_of_rows(service: FeatureService, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The columns of JSON objects, each with every key and request column.

    Raises:
      RowError: a row has another column, lacks one or has another type in it, or a key is null.
    """
    kinds = columns_of(service)
    for number, row in enumerate(rows):
        if row.keys() != kinds.keys():
            raise RowError(_other_columns(service, number, row, kinds))
    return frame_of_columns(service, {name: [row[name] for row in rows] for name in kinds})


def frame_of_columns(service: FeatureService, columns: Mapping[str, list[Any]]) -> pl.DataFrame:
    """Columns of JSON values, all keys and request columns of them, in their types.

    Raises:
      RowError: a value is of another type, or a key is null.
    """
    kinds = columns_of(service)
    made = [_column(columns[name], name, kind) for name, kind in kinds.items()]
    return checked_keys(service, pl.DataFrame(made))


def checked_frame(service: FeatureService, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of a request in a frame, in their types; others are left out.

    Raises:
      RowError: one is missing or of another type, or a key is null.
    """
    kinds = columns_of(service)
    if missing := [name for name in kinds if name not in frame.columns]:
        raise RowError(
            f"service {service.name!r}: no column {', '.join(missing)} in the request; it has "
            f"{', '.join(frame.columns)}"
        )
    try:
        columns = [as_declared(frame[n], k, f"request column {n!r}") for n, k in kinds.items()]
    except BeamfleetError as error:
        raise RowError(f"service {service.name!r}: {error}") from None
    return checked_keys(service, pl.DataFrame(columns))


def checked_keys(service: FeatureService, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame itself.

    Raises:
      RowError: a key is null.
    """
    for name in service.keys:
        if frame[name].null_count():
            row = frame[name].is_null().arg_max()
            raise RowError(f"row {row}: {name!r} is null, expected the key of an entity")
    return frame


def _column(values: list[Any], name: str, kind: FeatureType) -> pl.Series:
    wrong = set(map(type, values)) - _TAKEN[kind] - {type(None)}
    for row, value in enumerate(values):
        if (wrong and type(value) in wrong) or not _fits(value):
            raise _unfit(row, name, value, kind)
    if kind is not datetime:
        return pl.Series(name, values, dtype=POLARS_TYPES[kind])
    times = as_time(pl.Series(name, values, dtype=pl.String), name)
    for row, (value, time) in enumerate(zip(values, times, strict=True)):
        if value is not None and time is None:
            raise _unfit(row, name, value, kind)
    return times


def _fits(value: Any) -> bool:
    if type(value) is int:
        return value in _INT64
    return not isinstance(value, float) or math.isfinite(value)


def _unfit(row: int, name: str, value: Any, kind: FeatureType) -> RowError:
    return RowError(f"row {row}: {name!r} is {_shown(value)}, expected {_WORDS[kind]} or null")


def _other_columns(
    service: FeatureService, number: int, row: Mapping[str, Any], kinds: Mapping[str, Any]
) -> str:
    unknown = [name for name in row if name not in kinds]
    missing = [name for name in kinds if name not in row]
    said = [f"has the unknown {_shown(unknown[0])}"] if unknown else []
    said += [f"lacks {', '.join(missing)}"] if missing else []
    return (
        f"row {number} {' and '.join(said)}; service {service.name!r} takes {', '.join(kinds)} "
        "(a request column may be null)"
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
