"""Feature vectors over HTTP, asked of the real command."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.feature_registry import Registry
from tests.components.model_server.featured import NOW, last_txn, online_store

ROOT = Path(__file__).parents[3]
SERVICE = "tests.components.feature_vectors.test_rest.plain"
ROW = {"card_id": 1, "amount": 3.0, "category": "fuel", "abroad": True}
JSON = {"content-type": "application/json"}


def __getattr__(name: str) -> Any:
    """`plain`: the service without its transformations, which need a training split."""
    from components.features import FeatureService
    from tests.components.model_server.featured import fraud

    if name != "plain":
        raise AttributeError(name)
    return FeatureService(
        "plain", [*fraud.views, *fraud.on_demand], request=fraud.request, version=3
    )


def command(*options: str, service: str = SERVICE) -> list[str]:
    serve = ["features", "serve", "--service", service, "--port", "0", *options]
    return [sys.executable, "-m", "pipelines.cli", *serve]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    root = tmp_path_factory.mktemp("store")
    online_store(root)
    Registry(root / "registry.db").apply([last_txn])
    with subprocess.Popen(
        command("--store", str(root), "--json"), stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdout
        told = json.loads(server.stdout.readline())
        assert (told["service"], told["version"]) == ("plain", 3)
        assert told["url"].startswith("http://127.0.0.1:")
        yield int(told["url"].rpartition(":")[2])
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


def call(
    port: int, body: Any, method: str = "POST", path: str = "/vectors", headers: Any = None
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request(method, path, text, JSON if headers is None else headers)
    response = connection.getresponse()
    content = json.loads(response.read())
    connection.close()
    return response.status, content


def test_a_row_for_each_row_with_nulls(port: int) -> None:
    rows = [ROW, ROW | {"card_id": 9, "amount": None}]
    status, answer = call(port, {"rows": rows, "request_time": NOW.isoformat()})
    assert status == 200
    assert answer["service"] == "plain" and answer["version"] == 3
    assert answer["rows"] == [
        {"amount": 3.0, "category": "fuel", "abroad": True, "last_amount": 30.0, "since": 60.0},
        {"amount": None, "category": "fuel", "abroad": True, "last_amount": None, "since": None},
    ]


def test_without_a_time_it_is_now(port: int) -> None:
    _, answer = call(port, {"rows": [ROW]})
    assert answer["rows"][0]["since"] > timedelta(days=300).total_seconds()


def test_it_says_what_it_takes_and_gives(port: int) -> None:
    status, about = call(port, None, "GET", "/")
    assert status == 200 and about["takes"] == {
        "card_id": "int", "amount": "float", "category": "str", "abroad": "bool"
    }  # fmt: skip
    assert [*about["gives"]] == ["amount", "category", "abroad", "last_amount", "since"]
    assert call(port, None, "GET", "/health") == (
        200,
        {"service": "plain", "version": 3, "ready": True},
    )


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not JSON"),
        (b'{"rows": [NaN]}', 400, "not JSON"),
        ([], 400, 'expected an object such as {"rows"'),
        ({"rows": {}}, 400, "expected an object"),
        ({"rows": []}, 400, "'rows' is empty"),
        ({"rows": [ROW, 5]}, 400, "row 1 is no object"),
        ({"rows": [{**ROW, "card_id": "1"}]}, 400, "row 0: 'card_id' is '1', expected a whole"),
        ({"rows": [ROW, {**ROW, "card_id": None}]}, 400, "row 1: 'card_id' is null"),
        ({"rows": [{"card_id": 1}]}, 400, "row 0 lacks amount, category, abroad"),
        ({"rows": [ROW], "now": 1}, 400, "unknown 'now'"),
        ({"rows": [ROW], "request_time": "noon"}, 400, "request_time is 'noon'"),
        ({"rows": [ROW], "request_time": 5}, 400, "request_time is 5"),
        ({"rows": [ROW] * 10_001}, 413, "10001 rows in one request, at most 10000"),
        (b" " * (8 * 1024 * 1024 + 1), 413, "larger than 8388608 bytes"),
        (b"[" * 100_000, 400, "not JSON"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(
    port: int, body: Any, status: int, says: str
) -> None:
    got, answer = call(port, body)
    assert (got, says in answer["error"]) == (status, True), answer
    assert call(port, {"rows": [ROW]})[0] == 200


def test_other_paths_methods_and_types_are_refused(port: int) -> None:
    assert call(port, None, "GET", "/vectors")[0] == 405
    assert call(port, None, "GET", "/x")[0] == 404
    assert call(port, {"rows": [ROW]}, headers={"content-type": "text/plain"})[0] == 415


@pytest.mark.parametrize(
    ("options", "service", "environment", "says"),
    [
        ((), "tests.components.model_server.featured.fraud", {}, "--split NUMBER"),
        ((), "tests.components.model_server.featured.gone", {}, "gone"),
        (("--split", "1"), "tests.components.model_server.featured.fraud", {}, "fraud"),
        ((), SERVICE, {"BEAMFLEET_ONLINE_STORE": "redis://:s3cret@127.0.0.1:1"}, "redis://127"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(
    tmp_path: Path, options: tuple[str, ...], service: str, environment: dict[str, str], says: str
) -> None:
    Registry(tmp_path / "registry.db").apply([last_txn])
    done = subprocess.run(
        command("--store", str(tmp_path), *options, service=service),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1 and says in done.stderr, done.stderr
    assert "s3cret" not in done.stderr and "Traceback" not in done.stderr
