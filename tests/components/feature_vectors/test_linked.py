"""The registry knows which trained and which pushed models read its views."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import BeamfleetError
from components.feature_registry import Registry
from components.feature_vectors.linked import link_trained
from components.pusher.entity_rollback import rollback_entities
from components.pusher.push import Candidate, Outcome, PushRequest, push_now
from tests.components.model_server.featured import fraud, trained
from tests.components.pusher.stores import SPEC, make_store


def push(root: Path, model: str) -> Outcome:
    return push_now(PushRequest(Candidate(model, model, 0), str(root / "pushed"), keep=3))


@pytest.fixture
def model(tmp_path: Path) -> str:
    Registry(tmp_path / "registry.db").apply([fraud])
    spec = replace(SPEC, service=trained(tmp_path).to_text())
    return make_store(tmp_path / "model", {"Bachelors": 1, "": 0.5}, spec)


def test_trained_and_pushed_models_are_linked_once(tmp_path: Path, model: str) -> None:
    link_trained(trained(tmp_path).to_text(), 3, model, "monday")
    for pushed in (True, False):  # a killed push is done again
        assert push(tmp_path, model).pushed is pushed
    found = Registry(tmp_path / "registry.db").models_of("last_txn", 1)
    told = [(one.model, one.split_version, one.run) for one in found]
    assert told == [(model, 3, "monday"), (str(tmp_path / "pushed" / "1"), 3, "monday")]


def test_a_version_with_rolled_back_entities_is_linked_to_what_all_its_models_learnt_from(
    tmp_path: Path, model: str
) -> None:
    spec = replace(SPEC, service=trained(tmp_path).to_text())
    second = make_store(tmp_path / "second", {"Bachelors": 2, "": 0.5}, spec)
    for number, one in enumerate((model, second)):
        link_trained(trained(tmp_path).to_text(), number + 1, one, f"run {number}")
        candidate = Candidate(one, one, number)
        assert push_now(PushRequest(candidate, str(tmp_path / "pushed"), keep=3)).pushed
    made = rollback_entities(str(tmp_path / "pushed"), ["Bachelors"])
    found = Registry(tmp_path / "registry.db").trainings("fraud")
    assert [one.run for one in found if one.model == made.path] == ["run 0", "run 1"]


def test_models_without_features_are_linked_nowhere(tmp_path: Path) -> None:
    link_trained("", 0, "model", "monday")
    assert push(tmp_path, make_store(tmp_path / "model", {"": 0.5})).pushed
    assert not (tmp_path / "registry.db").exists()


def test_a_registry_that_is_gone_stops_a_training_and_no_push(
    tmp_path: Path, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "registry.db").unlink()
    with pytest.raises(BeamfleetError, match="no registry of features at"):
        link_trained(trained(tmp_path).to_text(), 3, model, "monday")
    assert push(tmp_path, model).pushed
    assert "pushed/1 is not in the registry of features" in caplog.text
    assert not (tmp_path / "registry.db").exists()
