"""Points in a SQLite file, which several processes of one machine read and write at once."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from components.errors import BeamfleetError
from components.online_store.connections import Connections
from components.online_store.points import Point
from components.sqlite import into_wal

_WAIT_S = 60.0
"""How long a writer waits for others; SQLite lets one write at a time."""
_ASKED = 500
"""Entities of one statement."""

_TABLES = """
CREATE TABLE IF NOT EXISTS online_views (view TEXT PRIMARY KEY, columns TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS online_points (
    view TEXT NOT NULL, entity BLOB NOT NULL, valid_from INTEGER NOT NULL,
    created INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (view, entity, valid_from)
) WITHOUT ROWID;
"""
_PUT = """
INSERT INTO online_points SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (
    SELECT 1 FROM online_points
    WHERE view = ?1 AND entity = ?2 AND valid_from > ?3 AND valid_from <= ?6)
ON CONFLICT DO UPDATE SET created = excluded.created, value = excluded.value
WHERE excluded.created >= created
"""
_PRUNE = """
DELETE FROM online_points WHERE view = ?1 AND entity = ?2 AND valid_from < (
    SELECT max(valid_from) FROM online_points
    WHERE view = ?1 AND entity = ?2 AND valid_from <= ?3)
"""
_GET = """
WITH asked(entity) AS (VALUES {places}) SELECT asked.entity, (
    SELECT value FROM online_points AS p
    WHERE p.view = ? AND p.entity = asked.entity AND p.valid_from <= ?
    ORDER BY p.valid_from DESC LIMIT 1) FROM asked
"""


class SqliteDatabase:
    """Keeps points in a file in WAL mode, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = Connections(self._connected)

    def remember(self, view: str, schema: str) -> str:
        found = "SELECT columns FROM online_views WHERE view = ?"
        with self._transaction() as run:
            run.execute("INSERT OR IGNORE INTO online_views VALUES (?, ?)", (view, schema))
            return str(run.execute(found, (view,)).fetchone()[0])

    def put(self, view: str, points: Sequence[Point], now: int) -> int:
        rows = ((view, *point, now) for point in points)
        entities = dict.fromkeys(point[0] for point in points)
        with self._transaction() as run:
            written = run.executemany(_PUT, rows).rowcount
            run.executemany(_PRUNE, ((view, entity, now) for entity in entities))
        return written

    def get(self, view: str, entities: Sequence[bytes], now: int) -> Mapping[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with self._errors():
            run = self._connections.mine()
            for first in range(0, len(entities), _ASKED):
                asked = entities[first : first + _ASKED]
                statement = _GET.format(places=", ".join(["(?)"] * len(asked)))
                rows = run.execute(statement, (*asked, view, now))
                found |= {entity: value for entity, value in rows if value is not None}
        return found

    def any(self, view: str) -> bool:
        found = "SELECT 1 FROM online_points WHERE view = ? LIMIT 1"
        with self._errors():
            return self._connections.mine().execute(found, (view,)).fetchone() is not None

    def close(self) -> None:
        self._connections.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, and nobody else writes meanwhile."""
        with self._errors():
            run = self._connections.mine()
            run.execute("BEGIN IMMEDIATE")
            try:
                yield run
            except BaseException:
                run.execute("ROLLBACK")
                raise
            run.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        run = sqlite3.connect(
            self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            into_wal(run, _WAIT_S)
            run.execute("PRAGMA synchronous = NORMAL")
            if not run.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'online_points'"
            ).fetchone():
                run.executescript(_TABLES)
        except BaseException:
            run.close()
            raise
        return run

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise BeamfleetError(
                f"online store {self._path}: {error}; expected a SQLite file of Beamfleet, or none "
                "yet, in a folder that can be written"
            ) from error
