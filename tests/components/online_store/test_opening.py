"""Which database a URI means, and that no error repeats its secrets."""

import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.online_store import open_online_store
from components.online_store.opening import without_secrets
from tests.components.online_store.servers import free_port, postgres_server, redis_server
from tests.components.online_store.views import at, new_view

KEYS = pl.DataFrame({"card_id": ["a"]})
SECRET = "s3cr/t@w:rd"


def refusal(uri: str) -> str:
    with pytest.raises(BeamfleetError) as error:
        open_online_store(uri).read(new_view(), KEYS, at(1))
    chain, said = error.value, []
    while chain is not None:
        said.append(str(chain))
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)  # type: ignore[assignment]
    return "\n".join(said)


@pytest.mark.parametrize(
    "uri", ["", "x", "mysql://u:s3cr@h/d", "sqlite://x", "sqlite:///", "redis:x"]
)
def test_other_uris_are_refused(uri: str) -> None:
    said = refusal(uri)
    assert "expected sqlite:///PATH" in said and "s3cr" not in said


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:s3cr@h:5/d?password=s3cr", "postgresql://h:5/d"),
        ("redis://:s3cr@[::1]:6379/2", "redis://[::1]:6379/2"),
        ("redis://:s3cr@h:port/2", "redis://..."),
        ("sqlite:////data/x.db", "sqlite:////data/x.db"),
    ],
)
def test_a_uri_is_shown_without_user_password_and_options(uri: str, shown: str) -> None:
    assert without_secrets(uri) == shown


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_no_secret_in_what_is_said_of_a_server_that_is_not_there(scheme: str) -> None:
    port = free_port()
    said = refusal(f"{scheme}://me:s3cr@127.0.0.1:{port}/0")
    assert f"{scheme}://127.0.0.1:{port}/0" in said and "s3cr" not in said and "me" not in KEYS
    # Characters that have to be escaped and are not: parts of the password become port or path.
    assert "s3cr" not in refusal(f"{scheme}://me:{SECRET}@127.0.0.1:{port}/0")


def test_no_secret_in_what_is_said_of_a_wrong_password(tmp_path: Path) -> None:
    with redis_server(tmp_path, "right") as uri:
        assert refusal(uri.replace("right", "wr0ng")).count("wr0ng") == 0
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        postgres_server(Path(folder), "right") as uri,
    ):
        said = refusal(uri.replace("right", "wr0ng"))
        assert "wr0ng" not in said and "OperationalError" in said
        assert open_online_store(uri).read(new_view(), KEYS, at(1)).height == 1


@pytest.mark.parametrize(
    ("client", "uri"), [("redis", "redis://h"), ("psycopg", "postgresql://h/d")]
)
def test_a_client_that_is_not_installed_is_named(
    client: str, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, client, None)
    assert "pip install 'beamfleet[features]'" in refusal(uri)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "x.db"
    other.write_bytes(b"no database at all, but long enough to be looked at" * 50)
    assert str(other) in refusal(f"sqlite:///{other}")
    assert other.read_bytes().startswith(b"no database")
