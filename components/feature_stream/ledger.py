"""What a stream remembers, in one SQLite file: states, and how far it has read.

Everything that a block of events changes is written in one transaction, with the rows that follow
from it. These are delivered after that, and again after a crash: to write them twice is to write
them once.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import BeamfleetError
from components.feature_stream.state import BEFORE

_TABLES = """
CREATE TABLE IF NOT EXISTS views (view TEXT PRIMARY KEY, definition TEXT NOT NULL,
  batch INTEGER NOT NULL, watermark INTEGER NOT NULL, counts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS frontiers (view TEXT, source TEXT, time INTEGER NOT NULL,
  PRIMARY KEY (view, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (view TEXT, source TEXT, file TEXT, byte INTEGER NOT NULL,
  PRIMARY KEY (view, source, file)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (view TEXT, key BLOB, state BLOB NOT NULL, wake INTEGER,
  PRIMARY KEY (view, key));
CREATE INDEX IF NOT EXISTS wakes ON keys (view, wake) WHERE wake IS NOT NULL;
CREATE TABLE IF NOT EXISTS outbox (view TEXT, batch INTEGER, kind TEXT, watermark INTEGER NOT NULL,
  content BLOB NOT NULL, PRIMARY KEY (view, batch, kind));
"""


class Ledger:
    """One file for all views; one process at a time."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file.

        Raises:
          BeamfleetError: another stream works on it, or it is no such file.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_TABLES)
        except sqlite3.OperationalError as error:
            raise BeamfleetError(
                f"{path} cannot be the state of a stream: {error}; if another stream works on it, "
                "wait until that has ended, or give this one another state"
            ) from None
        except sqlite3.DatabaseError as error:
            raise BeamfleetError(f"{path} is no state of a stream: {error}") from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise BeamfleetError(
                    f"{self._path} cannot be written: {error}; run again when this is mended: "
                    "nothing is lost"
                ) from error
            raise

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def view(self, view: str) -> tuple[str, int, int, dict[str, int]] | None:
        """Definition, number of the last batch, watermark and counts."""
        query = "SELECT definition, batch, watermark, counts FROM views WHERE view = ?"
        row = self._db.execute(query, (view,)).fetchone()
        return None if row is None else (row[0], row[1], row[2], json.loads(row[3]))

    def put_view(
        self, view: str, definition: str, batch: int, watermark: int, counts: dict[str, int]
    ) -> None:
        """Replaces it."""
        row = view, definition, batch, watermark, json.dumps(counts)
        self._db.execute("REPLACE INTO views VALUES (?, ?, ?, ?, ?)", row)

    def frontier(self, view: str, source: str) -> int:
        """How far the events of a source have come."""
        query = "SELECT time FROM frontiers WHERE view = ? AND source = ?"
        row = self._db.execute(query, (view, source)).fetchone()
        return BEFORE if row is None else int(row[0])

    def put_frontier(self, view: str, source: str, time: int) -> None:
        """Replaces it."""
        self._db.execute("REPLACE INTO frontiers VALUES (?, ?, ?)", (view, source, time))

    def positions(self, view: str, source: str) -> dict[str, int]:
        """File -> bytes that were read."""
        query = "SELECT file, byte FROM positions WHERE view = ? AND source = ?"
        return dict(self._db.execute(query, (view, source)).fetchall())

    def put_position(self, view: str, source: str, file: str, byte: int) -> None:
        """Replaces it."""
        self._db.execute("REPLACE INTO positions VALUES (?, ?, ?, ?)", (view, source, file, byte))

    def state(self, view: str, key: bytes) -> bytes | None:
        """Of a key."""
        query = "SELECT state FROM keys WHERE view = ? AND key = ?"
        row = self._db.execute(query, (view, key)).fetchone()
        return None if row is None else bytes(row[0])

    def put_states(self, view: str, states: Iterable[tuple[bytes, bytes, int | None]]) -> None:
        """Replaces them: key, state, and the watermark at which the key wakes."""
        rows = ((view, *row) for row in states)
        self._db.executemany("REPLACE INTO keys VALUES (?, ?, ?, ?)", rows)

    def due(self, view: str, watermark: int, most: int) -> list[tuple[bytes, bytes]]:
        """Keys that wake by a watermark, and their states; those first that wake first."""
        query = (
            "SELECT key, state FROM keys WHERE view = ? AND wake <= ? ORDER BY wake, key LIMIT ?"
        )
        return self._db.execute(query, (view, watermark, most)).fetchall()

    def post(self, view: str, batch: int, kind: str, watermark: int, content: bytes) -> None:
        """Puts rows out to be delivered."""
        row = view, batch, kind, watermark, content
        self._db.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?)", row)

    def posted(self, view: str) -> list[tuple[int, str, int, bytes]]:
        """Batch, kind, watermark and rows that have to be delivered, in order."""
        query = (
            "SELECT batch, kind, watermark, content FROM outbox WHERE view = ? ORDER BY batch, kind"
        )
        return self._db.execute(query, (view,)).fetchall()

    def delivered(self, view: str, batch: int, kind: str) -> None:
        """Forgets rows."""
        query = "DELETE FROM outbox WHERE view = ? AND batch = ? AND kind = ?"
        self._db.execute(query, (view, batch, kind))
