"""Feature groups on disk: what was inserted stays, and the row that was created last counts.

`root/groups/<name>/v<version>/` has `group.json` (what it is), `part-00000001.parquet`… (what each
insert added: keys, valid_from, created, features) and a lock. A part is whole or absent and never
changed, so that a reader needs no lock; inserts wait for each other.
"""

import fcntl
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_groups.rows import (
    CREATED,
    VALID_FROM,
    as_polars,
    identity,
    rows_of,
    where_of,
)
from components.feature_values.keyed import POLARS_TYPES, TIME
from components.features.group import FeatureGroup
from components.files import move_into_place, write_json
from components.times import in_utc

if TYPE_CHECKING:
    from components.feature_groups.query import Query

_END = b"PAR1"
"""Of every Parquet file."""


@dataclass(frozen=True)
class Inserted:
    """Rows of one insert: rows_in = written + unchanged."""

    rows_in: int
    written: int
    unchanged: int
    """Were there with the same values, or twice in the frame."""


@dataclass(frozen=True)
class StoredGroup:
    """A feature group in the store of `root`.

    Example:
        group = StoredGroup(profile, Path("store"))
        group.insert(pandas.DataFrame(...))
        training = group.select(["age"]).join(other.select(["risk"])).of(labels, label_time="ts")
    """

    group: FeatureGroup
    root: Path

    def __init__(self, group: FeatureGroup, root: str | Path) -> None:
        object.__setattr__(self, "group", group)
        object.__setattr__(self, "root", Path(root))

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.root / "groups" / self.group.name / f"v{self.group.version}"

    def insert(self, frame: Any) -> Inserted:
        """Adds the rows of a polars, pandas or Arrow frame: all of them, or none.

        A row of the same key and event time as an earlier one takes its place. What is there
        already with the same values is not written: to repeat an insert does nothing.

        Raises:
          BeamfleetError: the frame does not fit, or the stored group is declared otherwise.
        """
        given = as_polars(frame, where_of(self.group))
        rows = rows_of(self.group, given)
        with self._locked():
            new = self._changed(rows)
            if new.height:
                self._write(new)
        return Inserted(given.height, new.height, given.height - new.height)

    def read(self, as_of: datetime | None = None) -> pl.DataFrame:
        """The rows that count, by key and event time, with the names of the group.

        Args:
          as_of: As they were then: without what was created later. None: now.

        Raises:
          BeamfleetError: as_of is no time, or the stored group is declared otherwise.
        """
        log = read_log(self.group, self.root, as_of)
        last = _last(log, [*self.group.keys, VALID_FROM]).sort(*self.group.keys, VALID_FROM)
        times = {VALID_FROM: self.group.event_time}
        if self.group.created:
            times[CREATED] = self.group.created
        return last.rename(times).select(
            *self.group.keys, *times.values(), *self.group.features
        ).collect()  # fmt: skip

    def select(self, features: Sequence[str] | None = None) -> "Query":
        """Some features (default: all), to join them to others and to labels.

        Raises:
          BeamfleetError: there is no such feature.
        """
        from components.feature_groups.query import Query

        names = self.group.features if features is None else tuple(features)
        return Query(self.root, (self.group[names],))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One insert at a time; the lock of a process that was killed is free."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for staged in self.folder.glob(".*.tmp"):
                staged.unlink()
            if _parts(self.folder):
                _check_declared(self.group, self.folder)
            else:
                write_json(str(self.folder / "group.json"), _declared(self.group))
            yield

    def _changed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that are not there with the same values."""
        group, names = self.group, identity(self.group)
        span = pl.col(VALID_FROM).is_between(rows[VALID_FROM].min(), rows[VALID_FROM].max())
        there = _last(_scan(group, self.folder).filter(span), names).collect()
        same = [*names, *group.features]
        return rows.join(there, on=same, how="anti", nulls_equal=True, maintain_order="left")

    def _write(self, rows: pl.DataFrame) -> None:
        parts = _parts(self.folder)
        if not self.group.created:
            rows = rows.with_columns(pl.lit(self._clock(parts)).cast(TIME).alias(CREATED))
        ordered = rows.select(*_schema(self.group)).sort(*self.group.keys, VALID_FROM, CREATED)
        staged = self.folder / f".{uuid.uuid4().hex}.tmp"
        ordered.write_parquet(staged)
        number = int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 1
        move_into_place(str(staged), str(self.folder / f"part-{number:08d}.parquet"))

    def _clock(self, parts: list[Path]) -> datetime:
        """Now, but later than what was inserted before, even if the clock was set back."""
        now = datetime.now(UTC)
        if not parts:
            return now
        last: datetime = pl.read_parquet(parts[-1], columns=[CREATED], glob=False).max().item()
        return max(now, last + timedelta(microseconds=1))


def read_log(group: FeatureGroup, root: Path, as_of: datetime | None = None) -> pl.LazyFrame:
    """Every row that was inserted: keys, valid_from, created, features; what a join reads.

    Raises:
      BeamfleetError: as_of is no time, or the stored group is declared otherwise.
    """
    folder = StoredGroup(group, root).folder
    if _parts(folder):
        _check_declared(group, folder)
    if as_of is None:
        return _scan(group, folder)
    return _scan(group, folder).filter(pl.col(CREATED) <= in_utc(as_of, "as_of"))


def _last(log: pl.LazyFrame, names: list[str]) -> pl.LazyFrame:
    """Of equal ones the row created last, then inserted last."""
    return log.sort(CREATED, maintain_order=True).unique(names, keep="last", maintain_order=True)


def _scan(group: FeatureGroup, folder: Path) -> pl.LazyFrame:
    parts = _parts(folder)
    for part in parts:
        _check_whole(group, part)
    return pl.scan_parquet(parts, glob=False) if parts else pl.LazyFrame(schema=_schema(group))


def _check_whole(group: FeatureGroup, part: Path) -> None:
    with part.open("rb") as file:
        file.seek(max(part.stat().st_size - len(_END), 0))
        if file.read() != _END:
            raise BeamfleetError(
                f"{where_of(group)}: {part} was cut off or damaged; bring it back from a copy, or "
                "remove it and insert its rows again"
            )


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _schema(group: FeatureGroup) -> dict[str, pl.DataType]:
    keys = {name: POLARS_TYPES[kind] for name, kind in group.key_types.items()}
    features = {name: POLARS_TYPES[kind] for name, kind in group.schema.items()}
    return {**keys, VALID_FROM: TIME, CREATED: TIME, **features}


def _declared(group: FeatureGroup) -> dict[str, Any]:
    """What a version is; owner, description and ttl may change."""
    return {
        "name": group.name,
        "version": group.version,
        "primary_key": {name: kind.__name__ for name, kind in group.key_types.items()},
        "event_time": group.event_time,
        "created": group.created,
        "schema": {name: kind.__name__ for name, kind in group.schema.items()},
    }


def _check_declared(group: FeatureGroup, folder: Path) -> None:
    try:
        stored = json.loads((folder / "group.json").read_bytes())
    except (OSError, ValueError) as error:
        raise BeamfleetError(f"{where_of(group)}: {folder}/group.json cannot be read") from error
    declared = _declared(group)
    if differing := [name for name in declared if stored.get(name) != declared[name]]:
        told = "; ".join(
            f"{name} is {declared[name]}, stored with {stored.get(name)}" for name in differing
        )
        raise BeamfleetError(f"{where_of(group)}: {told}. A changed group needs a new version")
