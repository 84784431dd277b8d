"""Models that look features up: the service version of the training, by the keys of the request."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kserve import InferInput
from prometheus_client import REGISTRY

from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.infra_validator.client import Client
from components.infra_validator.featured_candidate import FeaturedCandidate
from components.infra_validator.probe import probe
from components.infra_validator.process import running_server
from components.infra_validator.report import Gates
from components.model_server.requests import RequestError
from components.model_server.servable import Limits, opener
from components.pusher.versions import PushedVersions
from components.served_log import read_served
from components.served_log.columns import log_schema
from tests.components.model_server.featured import (
    NOW,
    by_card,
    model_store,
    online_store,
    store_by_card,
)

WANTED = ("prediction", "probabilities", "fallback")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    online_store(folder)
    return folder


@pytest.fixture(scope="module")
def models(root: Path) -> str:
    return model_store(root / "models", root)


def tensors(**changes: Any) -> list[dict[str, Any]]:
    values = {
        "card_id": ("INT64", [1, 2, 1, 9]),
        "amount": ("FP64", [9.0, None, 9.0, 9.0]),
        "category": ("BYTES", ["fuel", "fuel", "books", "fuel"]),
        "abroad": ("BOOL", [True, False, None, False]),
        **changes,
    }
    return [{"name": n, "datatype": d, "shape": [4], "data": v} for n, (d, v) in values.items()]


def answer(uri: str, now: Any = NOW, **changes: Any) -> dict[str, list[Any]]:
    inputs = [
        InferInput(t["name"], t["shape"], t["datatype"], t["data"]) for t in tensors(**changes)
    ]
    servable = opener(uri)(uri, 1 << 20)
    servable.load()
    outputs = servable.answer(inputs, WANTED, Limits(100, time.monotonic() + 30, now))
    return {output["name"]: output["data"] for output in outputs}


def test_each_row_gets_the_features_of_its_entity(models: str) -> None:
    found = answer(models)
    assert found["prediction"] == [1, 0, 0, 0]  # 30 - 10 is more than usual, 5 - 10 is not
    assert found["fallback"] == [False] * 4


def test_another_time_has_other_features(models: str) -> None:
    assert answer(models, NOW - timedelta(hours=1))["prediction"][0] == 0


def test_a_model_for_each_key_is_asked_with_the_key_once(root: Path, tmp_path: Path) -> None:
    uri = store_by_card(tmp_path / "models", root)
    inputs = [
        InferInput("card_id", [3], "INT64", [1, 2, 9]),
        InferInput("amount", [3], "FP64", [9.0] * 3),
    ]
    servable = opener(uri)(uri, 1 << 20)
    servable.load()
    servable.log_answers()
    limits = Limits(100, time.monotonic() + 30, NOW, request_id="by_card", version="1")
    found = {one["name"]: one["data"] for one in servable.answer(inputs, WANTED, limits)}
    assert found["fallback"] == [False, False, True]
    assert found["prediction"][:2] == [1, 0]
    [wanted] = [one for one in servable.input_tensors() if one["name"] == "card_id"]
    assert wanted["datatype"] == "INT64"
    assert "key.card_id" in log_schema(by_card) and "request.card_id" not in log_schema(by_card)


def test_the_candidate_asks_about_the_keys_of_the_examples(root: Path, tmp_path: Path) -> None:
    candidate = FeaturedCandidate(store_by_card(tmp_path / "models", root))
    examples = pa.record_batch({"card_id": [1, 2], "amount": [9.0, 8.0], "is_fraud": [0, 1]})
    sample = candidate.sample(iter([examples]), 2)
    assert sample.rows["card_id"].to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"card_id": ("INT64", [1, None, 1, 1])}, 400, "row 1: 'card_id' is null"),
        ({"card_id": ("BYTES", ["1", "1", "1", "1"])}, 400, "expected INT64 or"),
        ({"abroad": ("BOOL", [1, 0, 1, 0])}, 400, "row 0 of input 'abroad' is 1"),
        ({"last_amount": ("FP64", [1.0] * 4)}, 400, "unknown input 'last_amount'"),
        ({"category": ("BYTES", ["fuel", None, "x", "y"])}, 422, "row 1: entity key missing"),
    ],
)
def test_a_wrong_request_is_refused(
    models: str, changes: dict[str, Any], status: int, says: str
) -> None:
    with pytest.raises(RequestError) as error:
        answer(models, **changes)
    assert error.value.status == status and says in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fingerprint": "0" * 64}, "is now 'fraud' version 1 with the definition"),
        ({"version": 2}, "trained with feature service 'fraud' version 2"),
        ({"features": "tests.components.model_server.featured.gone"}, "gone"),
        ({"features": "os.getcwd"}, "expected a FeatureService"),
        ({"fitted": {}}, "transforms last_amount, but what was fitted is for nothing"),
    ],
)
def test_another_definition_is_refused_at_the_start(
    root: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    uri = model_store(tmp_path / "models", root, **changes)
    with pytest.raises(BeamfleetError, match=says):
        opener(uri)(uri, 1 << 20)
    report = probe(uri, iter([]), Gates())
    assert not report.blessed and says in report.reasons[0]


def test_a_store_that_does_not_answer_is_refused_at_the_start_and_a_503_later(
    models: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BEAMFLEET_ONLINE_STORE", "redis://:s3cret@127.0.0.1:1/0")
    servable = opener(models)(models, 1 << 20)
    with pytest.raises(BeamfleetError, match="redis://127"):
        servable.load()
    inputs = [InferInput(t["name"], t["shape"], t["datatype"], t["data"]) for t in tensors()]
    with pytest.raises(RequestError, match="the log says why") as error:
        servable.answer(inputs, WANTED, Limits(100, time.monotonic() + 30))
    assert error.value.status == 503 and "127.0.0.1:1" in caplog.text
    assert "s3cret" not in caplog.text


def test_models_of_another_service_version_are_other_models(root: Path, tmp_path: Path) -> None:
    """So that they are never composed with them."""
    one, other = (
        EntityModels(model_store(tmp_path / name, root, fitted=fitted)).spec.fingerprint()
        for name, fitted in [("a", {"last_amount": 1.0}), ("b", {"last_amount": 2.0})]
    )
    assert one != other


@pytest.fixture(scope="module")
def client(root: Path, models: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    pushed = PushedVersions(str(root / "pushed"))
    pushed.push(models, models, 0, keep=2)
    folder = tmp_path_factory.mktemp("server")
    with running_server(pushed.directory, folder, ["--log-served"]) as server:
        server.wait_until_ready()
        with Client(server.port) as connected:
            yield connected


def test_over_http_with_the_log(client: Client, root: Path) -> None:
    body = {"id": "r1", "inputs": tensors(), "parameters": {"request_time": NOW.isoformat()}}
    response = client.infer(body)
    assert response.status == 200, response.error
    data = {output["name"]: output["data"] for output in response.content["outputs"]}
    assert data["prediction"] == [1, 0, 0, 0]
    wrong = client.infer({**body, "parameters": {"request_time": "noon"}})
    assert wrong.status == 400 and "request_time is 'noon'" in wrong.error
    for _ in range(50):
        rows = read_served(root, NOW, NOW + timedelta(1), "fraud").collect().to_dicts()
        if rows:
            break
        time.sleep(0.1)
    assert len(rows) == 4
    row = next(row for row in rows if row["key.card_id"] == 1 and row["entity"] == "fuel")
    seen = {name: row[name] for name in ("request_id", "time", "model_version", "prediction")}
    assert seen == {"request_id": "r1", "time": NOW, "model_version": "1", "prediction": "1"}
    assert row["feature.last_amount"] == 30.0 and row["feature.since"] == 60.0
    assert row["valid_from.last_txn"] == NOW - timedelta(minutes=1)
    assert row["request.amount"] == 9.0 and row["score"] > 0.5


def test_rows_of_a_batch_are_logged_with_the_ids_of_their_labels(
    client: Client, root: Path
) -> None:
    at = NOW + timedelta(hours=2)
    ids = {"name": "txn_id", "shape": [4], "datatype": "BYTES", "data": ["t1", "t2", None, "t4"]}
    body = {"id": "b1", "inputs": [ids, *tensors()], "parameters": {"request_time": at.isoformat()}}
    assert client.infer(body).status == 200
    short = {**ids, "shape": [3], "data": ["t1", "t2", "t3"]}
    wrong = client.infer({**body, "inputs": [short, *tensors()]})
    assert wrong.status == 400 and "same number of rows" in wrong.error
    numbers = {**ids, "datatype": "INT64", "data": [1, 2, 3, 4]}
    assert client.infer({**body, "inputs": [numbers, *tensors()]}).status == 400
    twice = client.infer({**body, "inputs": [ids, ids, *tensors()]})
    assert twice.status == 400 and "given twice" in twice.error
    for _ in range(50):
        rows = read_served(root, at, at + timedelta(1), "fraud").collect()
        if rows.height:
            break
        time.sleep(0.1)
    assert sorted(rows["request_id"]) == ["b1", "t1", "t2", "t4"]


def test_the_share_of_unknown_keys_is_a_metric(models: str) -> None:
    def counts() -> list[float]:
        names = [f"beamfleet_features_{name}_total" for name in ("looked_up", "absent")]
        return [REGISTRY.get_sample_value(name, {"view": "last_txn"}) or 0.0 for name in names]

    before = counts()
    answer(models)
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [4, 1]


def test_an_empty_online_store_is_a_warning(
    models: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    filled = opener(models)(models, 1 << 20)
    filled.load()
    assert filled.warning == ""
    monkeypatch.setenv("BEAMFLEET_ONLINE_STORE", f"sqlite:///{tmp_path / 'empty.db'}")
    servable = opener(models)(models, 1 << 20)
    servable.load()
    assert "1 of 1 views of service 'fraud' have no row" in servable.warning
    assert "last_txn" in caplog.text


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time_are_no_request_time(client: Client, when: str) -> None:
    response = client.infer({"inputs": tensors(), "parameters": {"request_time": when}})
    assert response.status == 400 and "expected a time" in response.error


def test_infra_validation(models: str, root: Path) -> None:
    before = read_served(root, NOW, NOW + timedelta(36500)).collect().height
    batch = pa.record_batch(
        {"amount": [1.5, None] * 5, "category": ["fuel", "books"] * 5, "abroad": [0, 1] * 5}
    )
    report = probe(models, iter([batch]), Gates())
    assert report.blessed, json.dumps(report.reasons)
    assert report.requests["answered"] == 10
    assert read_served(root, NOW, NOW + timedelta(36500)).collect().height == before
