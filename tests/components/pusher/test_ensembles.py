"""Ensembles are pushed, rolled back and refused like entity models."""

import argparse
import json
import shutil
from pathlib import Path

import pytest

from components.ensemble.bundle import Bundle
from components.errors import BeamfleetError
from components.pusher.push import Blessing, Candidate, PushRequest, objection, push_now
from components.pusher.stores import open_store
from components.pusher.versions import PushedVersions, Version
from pipelines.commands import rollback
from pipelines.pushed import pushed_directory, version_path
from tests.components.ensemble.bundles import make_bundle, totals
from tests.components.memory_files import MemoryFileSystem
from tests.components.pusher.stores import make_store


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("written")
    return [make_bundle(folder / f"bundle-{factor}", factor) for factor in range(4)]


@pytest.fixture
def bundles(written: list[str], tmp_path: Path) -> list[str]:
    return [str(shutil.copytree(uri, tmp_path / Path(uri).name)) for uri in written]


@pytest.fixture
def pushed(tmp_path: Path) -> PushedVersions:
    return PushedVersions(str(tmp_path / "pushed"))


def push(pushed: PushedVersions, uri: str, keep: int = 9) -> Version:
    current = pushed.current()
    return pushed.push(uri, uri, current.number if current else 0, keep)


def served(version: Version | None) -> float:
    """The factor of the first model."""
    assert version is not None
    Bundle(version.path).check()
    weights = Path(version.path, "models", "one", "weights.json")
    return float(json.loads(weights.read_text())["factor"])


def numbers(pushed: PushedVersions) -> list[int]:
    return [version.number for version in pushed.versions()]


def test_an_ensemble_is_pushed_pruned_and_rolled_back(pushed, bundles):
    for factor, uri in enumerate(bundles):
        version = push(pushed, uri, keep=2)
        assert (version.new, served(pushed.current())) == (True, factor)
    assert numbers(pushed) == [3, 4]
    assert push(pushed, bundles[3]).new is False
    assert served(pushed.rollback()) == 2
    assert served(pushed.rollback(to=4)) == 3


def test_details_have_the_same_keys_as_those_of_entity_models(pushed, bundles, tmp_path):
    details = push(pushed, bundles[1]).details
    bundle = Bundle(bundles[1])
    assert details["store_fingerprint"] == bundle.fingerprint
    assert details["schema_fingerprint"] == bundle.interface_fingerprint
    assert details["counts"] == {"models": 2, "stages": 2, "files": 4}
    entity_models = PushedVersions(str(tmp_path / "others"))
    others = push(entity_models, make_store(tmp_path / "store", {"": 1.0})).details
    assert details.keys() == others.keys()


def test_other_stages_are_refused(pushed, bundles, tmp_path):
    push(pushed, bundles[0])
    other = make_bundle(tmp_path / "other", 1, stage="renamed")
    with pytest.raises(BeamfleetError, match=r"does not fit version 1 .* other stages. Callers"):
        push(pushed, other)
    assert numbers(pushed) == [1]


def test_kinds_are_not_mixed_in_one_directory(pushed, bundles, tmp_path):
    store = make_store(tmp_path / "store", {"": 1.0})
    push(pushed, bundles[0])
    with pytest.raises(BeamfleetError, match=r"kind of model \(entity models, there an ensemble\)"):
        push(pushed, store)
    other = PushedVersions(str(tmp_path / "others"))
    push(other, store)
    with pytest.raises(BeamfleetError, match=r"kind of model \(an ensemble, there entity models\)"):
        push(other, bundles[0])
    assert numbers(pushed) == numbers(other) == [1]


def test_a_folder_of_both_kinds_is_neither(bundles):
    Path(bundles[0], "manifest.json").write_text("{}")
    with pytest.raises(BeamfleetError, match=r"holds manifest.json and ensemble.json: not a model"):
        open_store(bundles[0])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("models/one/weights.json", '{"factor": 9}', "weights.json was changed"),
        ("models/one/model.py", "boom", "model.py does not belong to it"),
    ],
)
def test_a_damaged_ensemble_is_not_pushed(pushed, bundles, name, content, message):
    push(pushed, bundles[0])
    Path(bundles[1], name).write_text(content)
    with pytest.raises(BeamfleetError, match=message):
        push(pushed, bundles[1])
    assert numbers(pushed) == [1]
    assert not list(Path(pushed.directory).glob(".staged-*"))


def test_an_unfinished_ensemble_is_not_pushed(pushed, bundles):
    Path(bundles[0], "ensemble.json").unlink()
    with pytest.raises(BeamfleetError, match=r"neither manifest.json nor saved_model.pb nor"):
        push(pushed, bundles[0])


def test_an_ensemble_is_pushed_from_any_filesystem(pushed, bundles):
    for path in Path(bundles[2]).rglob("*.json"):
        name = path.relative_to(bundles[2]).as_posix()
        MemoryFileSystem.files[f"memory://pushed-from/{name}"] = path.read_bytes()
    assert served(push(pushed, "memory://pushed-from")) == 2


def test_blessings_decide(pushed, bundles):
    refused = Blessing("model", False, "worse")
    request = PushRequest(Candidate(bundles[0], bundles[0], 0), pushed.directory, 3)
    outcome = objection(request, [refused])
    assert (outcome.pushed, outcome.reason) == (False, "the model is not blessed: worse")
    blessed = Blessing("model", True, "")
    assert objection(request, [blessed]) is None
    outcome = push_now(request)
    assert (outcome.pushed, outcome.version) == (True, 1)


def test_the_commands_work_on_ensembles(pushed, bundles, tmp_path, capsys):
    for uri in bundles[:2]:
        push(pushed, uri)
    directory = pushed_directory(str(tmp_path))  # the root of the runs
    assert directory == pushed.directory
    assert totals(Bundle(version_path(directory, 1)).ensemble(), [1]) == [10]
    rollback.main(argparse.Namespace(models=str(tmp_path), entity=None, to=None, why="", json=True))
    assert json.loads(capsys.readouterr().out)["version"] == 1
    assert Bundle(version_path(directory, None)).uri == pushed.version(1).path
