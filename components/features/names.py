"""What may be the name of an entity, source, view, feature or service."""

import re
from collections.abc import Iterable
from datetime import datetime

from components.errors import BeamfleetError

FeatureType = type[float] | type[int] | type[str] | type[bool] | type[datetime]
"""Types of features and keys; a datetime is UTC, in microseconds."""

TYPES: tuple[type, ...] = (float, int, str, bool, datetime)

RESERVED = frozenset({"event_time", "event_id", "created", "valid_from", "request_time"})
"""Columns that the machinery adds: no key and no feature may be called so."""


def checked_name(name: str, what: str) -> str:
    """The name, if it can also be a file, a column and a part of an address.

    Raises:
      BeamfleetError: it has other characters, begins with a digit, or is longer than 63.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
        raise BeamfleetError(
            f"name of {what} is {name!r}, expected a letter, then at most 62 letters, "
            "digits and '_'"
        )
    return name


def checked_columns(names: Iterable[str], what: str) -> tuple[str, ...]:
    """Names of columns, each once and none of them reserved.

    Raises:
      BeamfleetError: one is reserved, there twice, or no name; or there are none.
    """
    columns = tuple(checked_name(name, what) for name in names)
    if not columns:
        raise BeamfleetError(f"{what}: expected one at least")
    for name in columns:
        if name in RESERVED:
            raise BeamfleetError(
                f"{what} {name!r}: Beamfleet has columns of its own called "
                f"{', '.join(sorted(RESERVED))}"
            )
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise BeamfleetError(f"{what}: {', '.join(twice)} is there twice")
    return columns


def checked_schema(schema: dict[str, FeatureType], what: str) -> dict[str, FeatureType]:
    """Feature -> type, in order.

    Raises:
      BeamfleetError: a name or a type cannot be one.
    """
    checked_columns(schema, f"feature of {what}")
    for name, kind in schema.items():
        if kind not in TYPES:
            raise BeamfleetError(
                f"feature {name!r} of {what} has the type {kind!r}, expected "
                "float, int, str, bool or datetime"
            )
    return dict(schema)
