"""Opens online stores by URI, and says which it is without its secrets."""

import importlib
import os
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from components.errors import BeamfleetError
from components.online_store.store import Database, OnlineStore, TimelineStore

ONLINE = "BEAMFLEET_ONLINE_STORE"
"""Environment variable: URI of the online store, which keeps a password out of files and process
lists."""
_SQLITE = "sqlite:///"
_REDIS = ("redis", "rediss")
_POSTGRES = ("postgresql", "postgres")


def online_store_of(root: str | Path) -> OnlineStore:
    """The online store of a feature store: that of the environment variable ONLINE, or a file.

    Raises:
      BeamfleetError: as for `open_online_store`.
    """
    return open_online_store(os.environ.get(ONLINE, "") or f"{_SQLITE}{Path(root, 'online.db')}")


def open_online_store(uri: str) -> OnlineStore:
    """The store at a URI; its database is first asked when it is first used.

    Args:
      uri: `sqlite:///relative/path`, `sqlite:////absolute/path`,
        `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, `rediss://...` with TLS, or
        `postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DB`.

    Raises:
      BeamfleetError: it is none of these, or the client of its database is not installed.
    """
    return TimelineStore(_database(uri))


def without_secrets(uri: str) -> str:
    """What may be logged, stored and shown of a URI: no user, no password, no options."""
    if uri.startswith(_SQLITE):
        return uri
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f"{uri.partition(':')[0]}://..."
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}{f':{port}' if port else ''}{parts.path}"


def _database(uri: str) -> Database:
    scheme = uri.partition(":")[0]
    if uri.startswith(_SQLITE) and len(uri) > len(_SQLITE):
        from components.online_store.sqlite import SqliteDatabase

        return SqliteDatabase(Path(uri.removeprefix(_SQLITE)))
    if scheme in _REDIS and uri.startswith(f"{scheme}://"):
        _client("redis", "Redis")
        from components.online_store.redis_database import RedisDatabase

        return RedisDatabase(uri, without_secrets(uri))
    if scheme in _POSTGRES and uri.startswith(f"{scheme}://"):
        _client("psycopg", "PostgreSQL")
        from components.online_store.postgres import PostgresDatabase

        return PostgresDatabase(uri, without_secrets(uri))
    raise BeamfleetError(
        f"online store {without_secrets(uri) if '://' in uri else '...'!r} is none; expected "
        "sqlite:///PATH, redis://HOST:PORT/DB or postgresql://HOST:PORT/DB"
    )


def _client(module: str, database: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise BeamfleetError(
            f"an online store in {database} needs its client: pip install 'beamfleet[features]'"
        ) from None
