"""What an online store does, whatever database is behind it.

A store has a timeline for each entity of a view and version: the value that holds at the time of
the last write, and the change points behind it. Those lie in the future where a window will end
though nothing else happens: events leave it. A read takes the newest point that is not after its
`now`. So a count falls to 0 on time, without anybody writing then, and a value that was written
ahead hides nothing meanwhile. Points that can no longer be the newest are removed with each write.

A point is replaced by one of the same valid_from that was created later, or at the same time; what
lies before the value of now is stale and never written. Each entity's points change all at once.
The outcome is the same in whatever order, how often, and from how many processes rows are written.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import polars as pl

from components.errors import BeamfleetError
from components.online_store.points import (
    Point,
    Stored,
    chunks,
    decoded,
    encoded_entities,
    encoded_points,
    microseconds_since_1970,
    schema_text,
)

CHUNK = 20_000
"""Points of one transaction or one call."""
_ID = "/id"
"""No view has such a name."""


@dataclass(frozen=True)
class Written:
    """What became of the rows of one write."""

    written: int
    """Rows that are in the store now; a repeated row counts again."""
    stale: int
    """Rows behind which a newer one is known, in the store or in the same write."""


class OnlineStore(Protocol):
    """Values of entities, now. Threads and processes may use it at once."""

    def write(self, view: Stored, rows: pl.DataFrame, now: datetime | None = None) -> Written:
        """Writes rows of the view's change log, several for an entity if need be.

        Args:
          rows: keys, valid_from, created, features; other columns are left alone.
          now: Earlier values than that of this time are not kept, so that no later read may have
            an earlier `now`; default: the clock's.

        Raises:
          BeamfleetError: a column is missing or of another type, a key, valid_from or created is
            null, the view was written with another schema, or the database cannot be reached. What
            was written before that stays; the write can be repeated.
        """

    def read(self, view: Stored, keys: pl.DataFrame, now: datetime) -> pl.DataFrame:
        """The values of entities.

        Args:
          keys: A row for each wanted entity, twice if need be; other columns are left alone.
          now: UTC.

        Returns:
          A row for each row of `keys`, in order: keys, valid_from, features. Null, valid_from too,
          where nothing is known, the value is older than the view's ttl, or it begins after `now`.

        Raises:
          BeamfleetError: as for `write`; a null key is no error, it has no values.
        """

    def id(self) -> str:
        """Random text that is kept with the values: a store that was emptied has another.

        Raises:
          BeamfleetError: the database cannot be reached.
        """

    def has_rows(self, view: Stored) -> bool:
        """Whether any entity of the view has a value, of whatever time.

        Raises:
          BeamfleetError: as for `read`.
        """

    def close(self) -> None:
        """Ends the connections."""


class Database(Protocol):
    """Keeps points. `view` is its name and version, `now` microseconds since 1970."""

    def remember(self, view: str, schema: str) -> str:
        """Stores the schema unless there is one; gives the one that is stored."""

    def put(self, view: str, points: Sequence[Point], now: int) -> int:
        """Merges points, sorted by (entity, valid_from) and each there once, in one transaction.

        Returns:
          How many are in the store now.
        """

    def get(self, view: str, entities: Sequence[bytes], now: int) -> Mapping[bytes, bytes]:
        """Entity -> (valid_from, features) as encoded; the newest that are not after `now`."""

    def any(self, view: str) -> bool:
        """Whether the view has a point."""

    def close(self) -> None:
        """Ends the connections."""


class TimelineStore:
    """An OnlineStore of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[tuple[str, str]] = set()

    def write(self, view: Stored, rows: pl.DataFrame, now: datetime | None = None) -> Written:
        at = microseconds_since_1970(now or datetime.now(UTC))
        name = self._checked(view)
        points = encoded_points(view, rows, at)
        written = sum(self._database.put(name, chunk, at) for chunk in chunks(points, CHUNK))
        return Written(written, rows.height - written)

    def read(self, view: Stored, keys: pl.DataFrame, now: datetime) -> pl.DataFrame:
        at = microseconds_since_1970(now)
        name = self._checked(view)
        entities = encoded_entities(view, keys)
        asked = [*dict.fromkeys(entity for entity in entities if entity is not None)]
        found: dict[bytes, bytes] = {}
        for first in range(0, len(asked), CHUNK):
            found |= self._database.get(name, asked[first : first + CHUNK], at)
        values = decoded(view, [found.get(entity) for entity in entities], at)  # type: ignore[arg-type]
        return keys.select(view.keys).hstack(values)

    def id(self) -> str:
        return self._database.remember(_ID, uuid.uuid4().hex)

    def has_rows(self, view: Stored) -> bool:
        return self._database.any(self._checked(view))

    def close(self) -> None:
        self._database.close()

    def _checked(self, view: Stored) -> str:
        """The view's name in the database, once its schema is the one that is stored there."""
        name, schema = f"{view.name}/{view.version}", schema_text(view)
        if (name, schema) not in self._known:
            stored = self._database.remember(name, schema)
            if stored != schema:
                raise BeamfleetError(
                    f"view {view.name!r} version {view.version} is in the online store with the "
                    f"columns {stored}, now it has {schema}; give the changed view a new version"
                )
            self._known.add((name, schema))
        return name
