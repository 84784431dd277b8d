"""Which rows train a model, which choose it, and which judge it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_values.keyed import TIME
from components.features.durations import Duration, as_text, microseconds
from components.features.entity import Entity
from components.features.service import FeatureService

SPLITS = ("train", "validation", "test")
GAP, LATE = "gap", "known_late"
Begin = float | str | datetime
"""A share of the rows, or a time, such as "2024-05-21" (UTC)."""


@dataclass(frozen=True)
class ByTime:
    """Early rows train, later ones validate, the latest test.

    Example:
        ByTime(validation=0.15, test=0.15, gap="1d")
        ByTime(validation="2024-05-18", test="2024-05-21")
    """

    validation: Begin
    """Share of the rows, 0 for none; or the time from which rows validate."""
    test: Begin
    """Share of the rows; or the time from which rows test."""
    gap: Duration | None = None
    """Rows of so long before the next split are in none: their windows reach into it, or their
    label was not known when it began. Default, and least: the service's offset."""

    def __post_init__(self) -> None:
        if isinstance(self.validation, int | float) and isinstance(self.test, int | float):
            _check_shares(self.validation, self.test)
        elif isinstance(self.validation, int | float) or isinstance(self.test, int | float):
            raise BeamfleetError(
                f"ByTime: validation is {self.validation!r} and test is {self.test!r}, expected "
                "two shares or two times"
            )
        elif _time(self.validation) > _time(self.test):
            raise BeamfleetError(
                f"ByTime: validation begins at {self.validation!s}, after test at {self.test!s}"
            )
        if self.gap is not None:
            microseconds(self.gap, "gap of ByTime")


@dataclass(frozen=True)
class ByHash:
    """All rows of an entity are in one split, by a hash of its keys.

    An entity has the same place in every service with the same shares, whatever other rows there
    are.
    """

    validation: float
    """Share of the entities, about."""
    test: float
    entity: Entity | None = None
    """Of whose keys; default: of all keys of the service."""

    def __post_init__(self) -> None:
        _check_shares(self.validation, self.test)
        if not isinstance(self.entity, Entity | None):
            raise BeamfleetError(
                f"ByHash: entity is {self.entity!r}, expected an Entity, such as "
                'Entity("card", keys=["card_id"])'
            )


Split = ByTime | ByHash


def places(
    split: Split, service: FeatureService, rows: pl.DataFrame, known: pl.Series | None
) -> pl.Series:
    """The split of each row: one of SPLITS, GAP or LATE.

    Args:
      rows: Have the service's keys and event_time.
      known: When each label was known. Rows of an earlier split whose label was known only when the
        next had begun are LATE; None: that is not looked at.

    Raises:
      BeamfleetError: a split that was asked for would be empty.
    """
    if isinstance(split, ByHash):
        given = _by_hash(split, service, rows)
    else:
        given = _by_time(split, service, rows, known)
    counts: dict[str, int] = dict(given.value_counts().iter_rows())
    first, last = rows["event_time"].min(), rows["event_time"].max()
    for name in _asked(split):
        if not counts.get(name):
            raise BeamfleetError(
                f"service {service.name!r}: no row is in {name} by {split}; of {rows.height} rows "
                f"from {first!s} to {last!s} there are "
                + (", ".join(f"{count} in {place}" for place, count in counts.items()) or "none")
            )
    return given


def _asked(split: Split) -> list[str]:
    """The splits that have to have rows."""
    times = isinstance(split, ByTime) and not isinstance(split.test, int | float)
    validation = split.validation != (split.test if times else 0)
    return [
        name
        for name, asked in zip(SPLITS, (True, validation, split.test != 0), strict=True)
        if asked
    ]


def _by_time(
    split: ByTime, service: FeatureService, rows: pl.DataFrame, known: pl.Series | None
) -> pl.Series:
    times = rows["event_time"]
    second, third = _begins(split, times)
    gap = pl.duration(microseconds=_gap_us(split, service))
    ends = {SPLITS[0]: second, SPLITS[1]: third}
    time, place = pl.col("event_time"), pl.lit(SPLITS[2])
    for name, end in reversed(ends.items()):
        inside = pl.when(time >= pl.lit(end, TIME) - gap).then(pl.lit(GAP)).otherwise(pl.lit(name))
        if known is not None:
            inside = pl.when(known >= end).then(pl.lit(LATE)).otherwise(inside)
        place = pl.when(time < end).then(inside).otherwise(place)
    return rows.select(place.alias("split")).to_series()


def _begins(split: ByTime, times: pl.Series) -> tuple[datetime, datetime]:
    """When validation and test begin. Rows of one time are in one split."""
    if not isinstance(split.validation, int | float):
        return _time(split.validation), _time(split.test)
    assert isinstance(split.test, int | float)
    ordered = times.sort()

    def begin(behind: float) -> datetime:
        row = round(len(ordered) * (1 - behind))
        never = datetime.max.replace(tzinfo=UTC)
        return ordered[row] if row < len(ordered) else never

    return begin(split.validation + split.test), begin(split.test)


def _gap_us(split: ByTime, service: FeatureService) -> int:
    if split.gap is None:
        return service.offset_us
    gap = microseconds(split.gap, "gap of ByTime")
    if gap < service.offset_us:
        raise BeamfleetError(
            f"service {service.name!r}: the gap of {split.gap} is shorter than the offset of "
            f"{as_text(service.offset_us)}: rows of a split would be predicted before the last "
            "labels of the one before; make it as long at least"
        )
    return gap


def _by_hash(split: ByHash, service: FeatureService, rows: pl.DataFrame) -> pl.Series:
    keys = split.entity.keys if split.entity else service.keys
    if missing := [key for key in keys if key not in service.keys]:
        raise BeamfleetError(
            f"service {service.name!r} has no key {', '.join(missing)} of entity "
            f"{split.entity.name if split.entity else ''!r}; it has {', '.join(service.keys)}"
        )
    unique = rows.select(keys).unique(maintain_order=True)
    validation, test = 1 - split.validation - split.test, 1 - split.test
    placed = [
        SPLITS[(number >= validation) + (number >= test)]
        for number in map(_number, unique.iter_rows())
    ]
    named = unique.with_columns(pl.Series("split", placed, dtype=pl.String))
    return rows.select(keys).join(named, on=keys, how="left", maintain_order="left")["split"]


def _number(entity: tuple[Any, ...]) -> float:
    """In [0, 1), the same on every machine and in every release."""
    digest = hashlib.blake2b(json.dumps(entity).encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def _time(given: Begin) -> datetime:
    try:
        time = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        raise BeamfleetError(
            f"ByTime: {given!r} is no time; expected a datetime or text such as '2024-05-21'"
        ) from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _check_shares(validation: float, test: float) -> None:
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise BeamfleetError(
            f"validation is {validation} and test is {test}; expected shares of the rows that "
            "leave some to train"
        )
