"""What the SQLite files of several parts have in common."""

import sqlite3
import time

_OTHERS = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)
"""Others are at it: it may work later."""


def into_wal(connection: sqlite3.Connection, wait_s: float) -> None:
    """Readers go on while one writes. SQLite does not wait by itself for this change.

    Raises:
      sqlite3.OperationalError: others write for longer than `wait_s`.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError as error:
            # The lowest byte: a code also says what the others are doing.
            if error.sqlite_errorcode & 0xFF not in _OTHERS or time.monotonic() > until:
                raise
        time.sleep(0.01)
