from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from components.online_store import OnlineStore, open_online_store
from tests.components.online_store.servers import postgres_server, redis_server


@pytest.fixture(scope="session", params=["sqlite", "redis", "postgresql"])
def uri(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of each database, with a server of its own where it needs one."""
    with ExitStack() as stack:
        yield _uri(request.param, tmp_path_factory, stack)


@pytest.fixture
def store(uri: str) -> Iterator[OnlineStore]:
    opened = open_online_store(uri)
    yield opened
    opened.close()


def _uri(kind: str, folders: pytest.TempPathFactory, stack: ExitStack) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folders.mktemp('sqlite')}/online.db"
    if kind == "redis":
        return stack.enter_context(redis_server(folders.mktemp("redis")))
    # Not below pytest's folder, which only root may enter.
    import tempfile

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
    return stack.enter_context(postgres_server(folder))
