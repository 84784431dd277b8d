"""One real server on the loopback, shared by all tests here; the last one stops it."""

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from components.entity_models.predict import predict
from components.entity_models.store import EntityModels
from components.infra_validator.client import INFER, JSON, Client
from components.infra_validator.malformed import Malformed, malformed_requests
from components.infra_validator.process import ServerProcess, running_server
from components.model_server.entities import ServableEntityModels
from components.model_server.entity_tensors import to_request
from components.pusher.versions import PushedVersions
from tests.components.model_server.stores import SPEC, census_store, rows, tamper

ROWS = rows(50, seed=9)
GOOD = to_request(ROWS.slice(0, 1), SPEC)
MALFORMED = malformed_requests(GOOD, ServableEntityModels.max_body_bytes)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> PushedVersions:
    folder = tmp_path_factory.mktemp("pushed")
    versions = PushedVersions(str(folder / "models"))
    for number in range(2):
        versions.push(census_store(folder / str(number), number), str(number), number, keep=5)
    versions.rollback()
    return versions


@pytest.fixture(scope="module")
def server(
    pushed: PushedVersions, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with running_server(pushed.directory, tmp_path_factory.mktemp("server")) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.port) as connected:
        yield connected


def output(answer: Any, name: str) -> Any:
    return next(tensor for tensor in answer.content["outputs"] if tensor["name"] == name)


def wait_for_version(client: Client, version: str) -> None:
    for _ in range(100):
        if client.call("GET", "/v2/models/model").content["versions"] == [version]:
            return
        time.sleep(0.1)
    raise AssertionError(f"version {version} is not served after 10 s")


def test_the_start_is_reported_in_parts(server: ServerProcess):
    status = server.status()
    assert status["state"] == "ready"
    assert status["import_s"] > status["load_s"] > 0
    assert status["load_s"] + status["ready_s"] < 5
    assert status["version"] == "1"


def test_nothing_of_ensembles_is_loaded_for_entity_models(server: ServerProcess):
    libraries = [m.path for m in psutil.Process(server.status()["pid"]).memory_maps()]
    assert any("/pyarrow/" in path for path in libraries)
    assert [path for path in libraries if "/PIL/" in path or "/torch/" in path] == []


def test_only_the_loopback_is_listened_on(server: ServerProcess):
    process = psutil.Process(server.status()["pid"])
    listening = [c.laddr for c in process.connections() if c.status == psutil.CONN_LISTEN]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", server.port)]


def test_predictions_are_those_of_the_models(client: Client, pushed: PushedVersions):
    strangers = rows(5, seed=3).set_column(0, "education", pa.array(["x", " ", "../x", "é", "0"]))
    table = pa.concat_tables([ROWS, strangers])
    expected = predict(EntityModels(pushed.version(1).path), table)
    answer = client.infer({**to_request(table, SPEC), "id": "42"})
    assert answer.status == 200
    assert (answer.content["id"], answer.content["model_version"]) == ("42", "1")
    assert output(answer, "prediction")["data"] == expected.column("prediction").to_pylist()
    assert output(answer, "fallback")["data"] == [False] * 50 + [True] * 5
    probabilities = output(answer, "probabilities")
    assert probabilities["shape"] == [55, 2]
    assert json.loads(probabilities["parameters"]["classes"]) == ["<=50K", ">50K"]
    assert probabilities["data"] == [
        p for row in expected.column("probabilities").to_pylist() for p in row
    ]


def test_an_empty_entity_is_a_missing_one(client: Client):
    answer = client.infer(to_request(ROWS.slice(0, 1).set_column(0, "education", [[""]]), SPEC))
    assert (answer.status, answer.error) == (
        422,
        "1 of 1 rows cannot be predicted: row 0: entity key missing",
    )


def test_only_the_asked_outputs_are_given(client: Client):
    answer = client.infer({**GOOD, "outputs": [{"name": "fallback"}]})
    assert [tensor["name"] for tensor in answer.content["outputs"]] == ["fallback"]


def test_the_metadata_names_inputs_and_outputs(client: Client):
    content = client.call("GET", "/v2/models/model").content
    assert [tensor["name"] for tensor in content["inputs"]] == [
        "education",
        "age",
        "workclass",
        "hours",
    ]
    assert [tensor["shape"] for tensor in content["outputs"]] == [[-1], [-1, 2], [-1]]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2",
        "/v2/models",
        "/v2/models/model/ready",
        "/metrics",
    ],
)
def test_the_other_endpoints_answer(client: Client, path: str):
    assert client.call("GET", path).status == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/v1/models", "/v2/models/other"])
def test_nothing_else_is_there(client: Client, path: str):
    answer = client.call("GET", path)
    assert (answer.status, bool(answer.error)) == (404, True)


@pytest.mark.parametrize(
    "malformed", malformed_requests(GOOD, ServableEntityModels.max_body_bytes), ids=lambda m: m.case
)
def test_malformed_requests_get_a_4xx_in_one_sentence(client: Client, malformed: Malformed):
    body = malformed.body
    answer = client.call(malformed.method, malformed.path, body, malformed.headers)
    assert 400 <= answer.status < 500
    assert 0 < len(answer.error) < 400
    assert "Traceback" not in answer.error and "\n" not in answer.error
    assert client.is_ready()


def test_a_row_without_key_is_named(client: Client):
    table = ROWS.set_column(0, "education", pa.array(["HS-grad", None] * 25, pa.string()))
    answer = client.infer(to_request(table, SPEC))
    assert answer.status == 422
    assert answer.error.startswith("25 of 50 rows cannot be predicted: row 1: entity key missing")


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
def test_the_body_limit_is_exact(client: Client, declared: bool, extra: int, status: int):
    text = json.dumps(GOOD).encode()
    body = text + b" " * (8 * 1024 * 1024 - len(text) + extra)
    content = body if declared else iter([body[: 1 << 20], body[1 << 20 :]])
    assert client.call("POST", INFER, content, JSON).status == status


def test_an_endless_body_is_cut_off(client: Client, server: ServerProcess):
    memory = server.resident_mb()
    chunks = (b" " * (1 << 20) for _ in range(400))
    # The connection may break before the answer is read.
    with contextlib.suppress(OSError, http.client.HTTPException):
        assert client.call("POST", INFER, chunks, JSON).status == 413
    assert server.resident_mb() - memory < 100
    assert client.is_ready()


def test_health_answers_while_predictions_run(server: ServerProcess):
    large = to_request(pa.concat_tables([ROWS] * 150), SPEC)
    stop = threading.Event()
    statuses: list[int] = []

    def load() -> None:
        with Client(server.port) as own:
            while not stop.is_set():
                statuses.append(own.infer(large).status)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    with Client(server.port) as client:
        times = [client.call("GET", "/v2/health/live").milliseconds for _ in range(50)]
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    assert sorted(times)[-3] < 500


def test_versions_swap_under_load_without_a_failed_request(
    server: ServerProcess, client: Client, pushed: PushedVersions
):
    expected = {
        str(number): predict(EntityModels(pushed.version(number).path), ROWS)
        .column("probabilities")
        .to_pylist()
        for number in (1, 2)
    }
    assert expected["1"] != expected["2"]
    request = to_request(ROWS, SPEC)
    stop = threading.Event()
    seen: list[str] = []

    def load() -> None:
        with Client(server.port) as own:
            while not stop.is_set():
                answer = own.infer(request)
                version = answer.content["model_version"]
                flat = output(answer, "probabilities")["data"]
                assert flat == [p for row in expected[version] for p in row]
                seen.append(version)

    failures: list[BaseException] = []
    threads = [threading.Thread(target=_caught(load, failures)) for _ in range(2)]
    for thread in threads:
        thread.start()
    pushed.rollback(to=2)
    wait_for_version(client, "2")
    pushed.rollback(to=1)
    wait_for_version(client, "1")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(seen) == {"1", "2"}


def _caught(function: Any, failures: list[BaseException]) -> Any:
    def run() -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    return run


def test_a_broken_version_is_not_taken_and_that_is_said(
    client: Client, server: ServerProcess, pushed: PushedVersions
):
    tamper(pushed.version(2).path)
    pushed.rollback(to=2)
    for _ in range(100):
        content = client.call("GET", "/v2/models/model").content
        if content["parameters"]["stale"]:
            break
        time.sleep(0.1)
    assert "SHA-256" in content["parameters"]["stale"]
    assert content["versions"] == ["1"]
    assert client.infer(GOOD).content["model_version"] == "1"
    assert any("still serving version 1" in line for line in server.log_tail())
    pushed.rollback(to=1)


def test_sigterm_ends_it_in_time(server: ServerProcess):
    process = psutil.Process(server.status()["pid"])
    with Client(server.port) as client:  # an open connection must not hold it up
        assert client.is_ready()
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - started < 3


def test_it_stops_with_its_standard_input(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "components.model_server",
        "x",
        "--port=0",
        "--stop-with-stdin",
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin
    process.stdin.close()
    assert process.wait(5) == -signal.SIGTERM


def test_help_is_quick():
    before = psutil.Process().cpu_times().children_user
    subprocess.run(
        [sys.executable, "-m", "components.model_server", "--help"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert psutil.Process().cpu_times().children_user - before < 0.5
