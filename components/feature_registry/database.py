"""One small SQLite database that several processes may read and write at once."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import BeamfleetError
from components.sqlite import into_wal

_APPLICATION = 0x42464652  # "BFFR"
_FORMAT = 1
_WAIT_S = 30.0
_TABLES = """
CREATE TABLE declared (
  kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, owner TEXT NOT NULL,
  description TEXT NOT NULL, schema TEXT NOT NULL, facts TEXT NOT NULL, fingerprint TEXT NOT NULL,
  definition TEXT NOT NULL, applied TEXT NOT NULL, changed TEXT NOT NULL,
  PRIMARY KEY (kind, name, version)
);
CREATE TABLE uses (
  by_kind TEXT NOT NULL, by_name TEXT NOT NULL, by_version INTEGER NOT NULL, place INTEGER NOT NULL,
  kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, features TEXT NOT NULL,
  PRIMARY KEY (by_kind, by_name, by_version, place)
);
CREATE INDEX used_by ON uses (kind, name, version);
CREATE TABLE trainings (
  service TEXT NOT NULL, version INTEGER NOT NULL, split_version INTEGER NOT NULL,
  model TEXT NOT NULL, run TEXT NOT NULL, linked TEXT NOT NULL,
  PRIMARY KEY (service, version, split_version, model, run)
);
CREATE INDEX trained_models ON trainings (model);
CREATE VIEW reads AS
WITH RECURSIVE found (service, service_version, kind, name, version, features) AS (
  SELECT by_name, by_version, kind, name, version, features FROM uses WHERE by_kind = 'service'
  UNION
  SELECT found.service, found.service_version, uses.kind, uses.name, uses.version, uses.features
  FROM found JOIN uses
    ON uses.by_kind = found.kind AND uses.by_name = found.name AND uses.by_version = found.version
  WHERE found.kind = 'on_demand'
)
SELECT * FROM found WHERE kind IN ('view', 'group');
"""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the registry.

    Raises:
      BeamfleetError: there is none, or the file is something else.
    """
    if not path.is_file():
        raise BeamfleetError(f"there is no registry of features at {path}")
    with _connected(path) as connection:
        connection.execute("BEGIN")
        _check(connection, path)
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A transaction that is committed at the end, undone by an error; makes what is not there.

    Raises:
      BeamfleetError: the file is something else, or others write for longer than 30 s.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _connected(path) as connection:
        into_wal(connection, _WAIT_S)
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
        _check(connection, path)
        yield connection
        connection.execute("COMMIT")


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise BeamfleetError(f"{path} cannot be opened: {error}") from error
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    except sqlite3.Error as error:
        raise BeamfleetError(f"registry {path}: {error}") from error
    finally:
        connection.close()  # undoes what was not committed


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    made_by = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION:
        raise BeamfleetError(f"{path} is no registry of features")
    if made_by != _FORMAT:
        raise BeamfleetError(
            f"{path} has format {made_by}, expected {_FORMAT}: another version of Beamfleet made it"
        )
