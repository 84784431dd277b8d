"""Limits of the application, without a process and with a prediction that misbehaves."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.errors import BeamfleetError
from components.infra_validator.client import INFER
from components.model_server.config import ServerConfig
from components.model_server.entity_tensors import to_request
from components.model_server.served import ServedModels
from components.model_server.server import _no_arguments
from tests.components.infra_validator.serving_models import Constant
from tests.components.model_server.stores import SPEC, rows, write_store

GOOD = to_request(rows(2), SPEC)
Calls = Callable[[httpx.AsyncClient], Any]


@pytest.fixture
def application(tmp_path: Path) -> Any:
    return application_of(write_store(tmp_path, {}, Constant()))


def application_of(store: str) -> Any:
    with _no_arguments():
        from components.model_server.predictor import Predictor
        from components.model_server.rest import Rest

    config = ServerConfig(store, request_timeout_s=0.3)
    models = ServedModels(config.model, 1 << 20)
    models.served.servable.load()  # as at the start of the server
    rest = Rest(Predictor(config, models), config, lambda: None)
    rest.create_application()
    return rest.config.app


def run(application: Any, calls: Calls) -> Any:
    async def inside() -> Any:
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await calls(client)

    return asyncio.run(inside())


def predict_with(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any]) -> None:
    monkeypatch.setattr("components.model_server.entities.predict", function)


def test_a_slow_prediction_is_given_up_and_health_answers_meanwhile(
    application: Any, monkeypatch: pytest.MonkeyPatch
):
    predict_with(monkeypatch, lambda models, table: time.sleep(0.6))

    async def calls(client: httpx.AsyncClient) -> httpx.Response:
        start = time.perf_counter()
        slow = asyncio.create_task(client.post(INFER, json=GOOD))
        await asyncio.sleep(0.05)
        assert (await client.get("/v2/health/ready")).status_code == 200
        assert time.perf_counter() - start < 0.3
        return await slow

    answer = run(application, calls)
    assert answer.status_code == 504
    assert answer.json() == {"error": "no prediction within 0.3 s; send fewer rows"}


def test_a_body_that_does_not_arrive_is_given_up(application: Any):
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    async def calls(client: httpx.AsyncClient) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return await client.post(INFER, content=body(), headers=headers)

    answer = run(application, calls)
    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"


def test_more_requests_than_may_wait_are_sent_away(
    application: Any, monkeypatch: pytest.MonkeyPatch
):
    from components.model_server import rest

    monkeypatch.setattr(rest, "_MAX_WAITING", 2)
    predict_with(monkeypatch, lambda models, table: time.sleep(0.1))

    async def calls(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(client.post(INFER, json=GOOD) for _ in range(5)))

    answers = run(application, calls)
    assert sorted(answer.status_code for answer in answers)[-3:] == [503, 503, 503]
    assert answers[-1].headers["retry-after"] == "1"


def test_a_failure_of_ours_tells_the_client_nothing(
    application: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(models: Any, table: Any) -> None:
        raise BeamfleetError("/secret/path is damaged")

    predict_with(monkeypatch, fail)
    answer = run(application, lambda client: client.post(INFER, json=GOOD))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    reference = answer.json()["error"].rsplit(" ", 1)[1]
    assert f"reference {reference}: /secret/path is damaged" in caplog.text


def test_requests_and_rows_are_counted(application: Any):
    async def calls(client: httpx.AsyncClient) -> tuple[str, str]:
        before = (await client.get("/metrics")).text
        await client.post(INFER, json=GOOD)
        await client.post(INFER, json={})
        return before, (await client.get("/metrics")).text

    before, after = run(application, calls)
    for name, more in {
        'beamfleet_requests_total{status="200"}': 1,
        'beamfleet_requests_total{status="400"}': 1,
        'beamfleet_rows_total{fallback="true"}': 2,
    }.items():
        assert _value(after, name) - _value(before, name) == more


def _value(text: str, name: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith(name)]
    return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0


def test_a_store_that_is_removed_makes_the_server_unready_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("components.model_server.served._RETRY_S", 0.0)
    monkeypatch.setattr("components.model_server.rest._POLL_S", 0.01)
    store = Path(write_store(tmp_path / "1", {"HS-grad": Constant()}, Constant()))
    application = application_of(str(store))
    hs_grad = to_request(rows(1).set_column(0, "education", [["HS-grad"]]), SPEC)
    unseen = to_request(rows(1).set_column(0, "education", [["unseen"]]), SPEC)
    ready = ("/v2/health/ready", "/v2/models/model/ready")

    async def calls(client: httpx.AsyncClient) -> None:
        for path in ready:
            assert (await client.get(path)).json()["ready"] is True
        store.rename(tmp_path / "moved")
        answer = await client.post(INFER, json=hs_grad)
        assert answer.status_code == 503
        assert "the model of entity 'HS-grad' in version " in answer.json()["error"]
        assert str(tmp_path) not in answer.text and str(tmp_path) in caplog.text
        for path in ready:
            assert (await client.get(path)).status_code == 503
        assert (await client.post(INFER, json=unseen)).status_code == 200
        assert (await client.get("/v2/health/live")).status_code == 200
        (tmp_path / "moved").rename(store)
        async with application.router.lifespan_context(application):
            while (await client.get(ready[0])).status_code == 503:
                await asyncio.sleep(0.01)
        assert (await client.post(INFER, json=hs_grad)).status_code == 200

    run(application, calls)
