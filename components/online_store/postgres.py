"""Points in PostgreSQL: one statement for a batch, one transaction for a write of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg

from components.errors import BeamfleetError
from components.online_store.connections import Connections
from components.online_store.points import Point

T = TypeVar("T")
_CONNECT_S = 10
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
"""One writer a view: two that write the same entities in another order would stop each other."""

_TABLES = """
CREATE TABLE IF NOT EXISTS beamfleet_online_views (view text PRIMARY KEY, columns text NOT NULL);
CREATE TABLE IF NOT EXISTS beamfleet_online_points (
    view text NOT NULL, entity bytea NOT NULL, valid_from bigint NOT NULL,
    created bigint NOT NULL, value bytea NOT NULL, PRIMARY KEY (view, entity, valid_from));
"""
# LATERAL with ORDER BY looks each entity up by the index. Joins in which the planner is free become
# loops over the whole table as long as its statistics are old: minutes for one batch.
_PUT = """
INSERT INTO beamfleet_online_points AS known
SELECT %(view)s, g.* FROM unnest(%(entity)s::bytea[], %(valid_from)s::bigint[],
    %(created)s::bigint[], %(value)s::bytea[]) AS g (entity, valid_from, created, value)
LEFT JOIN LATERAL (SELECT p.valid_from AS holds FROM beamfleet_online_points AS p
    WHERE p.view = %(view)s AND p.entity = g.entity AND p.valid_from <= %(now)s
    ORDER BY p.valid_from DESC LIMIT 1) AS newest ON true
WHERE newest.holds IS NULL OR g.valid_from >= newest.holds
ON CONFLICT (view, entity, valid_from)
DO UPDATE SET created = excluded.created, value = excluded.value
WHERE excluded.created >= known.created
"""
_PRUNE = """
DELETE FROM beamfleet_online_points WHERE ctid = ANY(ARRAY(
    SELECT older.ctid FROM unnest(%(entity)s::bytea[]) AS touched (entity)
    CROSS JOIN LATERAL (SELECT p.ctid FROM beamfleet_online_points AS p
        WHERE p.view = %(view)s AND p.entity = touched.entity AND p.valid_from <= %(now)s
        ORDER BY p.valid_from DESC OFFSET 1) AS older))
"""
_GET = """
SELECT asked.entity, newest.value FROM unnest(%(entity)s::bytea[]) AS asked (entity)
CROSS JOIN LATERAL (SELECT value FROM beamfleet_online_points AS p
    WHERE p.view = %(view)s AND p.entity = asked.entity AND p.valid_from <= %(now)s
    ORDER BY p.valid_from DESC LIMIT 1) AS newest
"""


class PostgresDatabase:
    """Keeps points in two tables, which are made if they are not there."""

    def __init__(self, uri: str, shown: str) -> None:
        self._uri, self._shown = uri, shown
        self._connections = Connections(self._connected)

    def remember(self, view: str, schema: str) -> str:
        def run(connection: "psycopg.Connection[Any]") -> str:
            connection.execute(
                "INSERT INTO beamfleet_online_views VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (view, schema),
            )
            found = "SELECT columns FROM beamfleet_online_views WHERE view = %s"
            row = connection.execute(found, (view,)).fetchone()
            assert row is not None
            return str(row[0])

        return self._done(run)

    def put(self, view: str, points: Sequence[Point], now: int) -> int:
        entity, valid_from, created, value = map(list, zip(*points, strict=True))
        columns = {"entity": entity, "valid_from": valid_from, "created": created, "value": value}

        def run(connection: "psycopg.Connection[Any]") -> int:
            with connection.transaction():
                connection.execute(_LOCK, (view,))
                written = connection.execute(_PUT, {"view": view, "now": now, **columns}).rowcount
                touched = [*dict.fromkeys(entity)]
                connection.execute(_PRUNE, {"view": view, "now": now, "entity": touched})
            return written

        return self._done(run)

    def get(self, view: str, entities: Sequence[bytes], now: int) -> Mapping[bytes, bytes]:
        asked = {"view": view, "now": now, "entity": [*entities]}
        return self._done(
            lambda connection: {bytes(e): bytes(v) for e, v in connection.execute(_GET, asked)}
        )

    def any(self, view: str) -> bool:
        found = "SELECT 1 FROM beamfleet_online_points WHERE view = %s LIMIT 1"
        return self._done(lambda run: run.execute(found, (view,)).fetchone() is not None)

    def close(self) -> None:
        self._connections.close()

    def _done(self, run: Callable[["psycopg.Connection[Any]"], T]) -> T:
        """Runs it, once more where the connection broke: all that is run may be repeated."""
        try:
            try:
                return run(self._connections.mine())
            except psycopg.OperationalError:
                self._connections.drop()
                return run(self._connections.mine())
        except psycopg.Error as error:
            self._connections.drop()
            raise BeamfleetError(
                f"online store {self._shown}: {type(error).__name__}{_said(error)}; is PostgreSQL "
                "running there, are user and password right, and may the user make tables?"
            ) from None

    def _connected(self) -> "psycopg.Connection[Any]":
        connection = psycopg.connect(self._uri, connect_timeout=_CONNECT_S, autocommit=True)
        with connection.transaction():
            # Two that make the same tables at once would fail.
            connection.execute(_LOCK, ("beamfleet_online",))
            connection.execute(_TABLES)
        return connection


def _said(error: psycopg.Error) -> str:
    """What the server said; not what the client said, which repeats parts of a wrong URI."""
    return f": {error.diag.message_primary}" if error.diag.message_primary else ""
