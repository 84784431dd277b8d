import json
import shutil
from pathlib import Path

import pytest

from components.entity_models.store import IndexEntry, ShardWriter, UnreadableModelError, commit
from components.errors import BeamfleetError
from components.model_server.__main__ import main
from components.model_server.config import ServerConfig
from components.model_server.served import ServedModels
from components.model_server.server import serve
from components.pusher.versions import PushedVersions
from tests.components.model_server.stores import SPEC, census_store, tamper

CACHE = 1 << 20


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("stores")
    return [census_store(folder / str(seed), seed) for seed in range(2)]


def test_a_lone_store_is_served_under_its_fingerprint(stores: list[str]):
    served = ServedModels(stores[0], CACHE)
    assert served.served.version == served.served.servable.fingerprint[:12]
    assert served.refresh() is False


def test_the_pointer_is_followed(stores: list[str], tmp_path: Path):
    versions = PushedVersions(str(tmp_path))
    versions.push(stores[0], "a", 0, keep=5)
    models = ServedModels(str(tmp_path), CACHE)
    assert (models.served.version, models.refresh()) == ("1", False)
    old = models.served
    versions.push(stores[1], "b", 1, keep=5)
    assert models.refresh() is True
    assert (models.served.version, old.version) == ("2", "1")
    versions.rollback()
    assert models.refresh() is True
    assert models.served.version == "1"


def test_a_broken_version_leaves_the_old_one_and_says_so(
    stores: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    versions = PushedVersions(str(tmp_path))
    versions.push(stores[0], "a", 0, keep=5)
    models = ServedModels(str(tmp_path), CACHE)
    tamper(versions.push(stores[1], "b", 1, keep=5).path)
    for _ in range(3):
        assert models.refresh() is False
    assert models.served.version == "1"
    assert "SHA-256" in models.failure
    assert caplog.text.count("still serving version 1") == 1
    versions.rollback()
    assert models.refresh() is False
    assert models.failure == ""


def test_a_broken_pointer_leaves_the_old_version(stores: list[str], tmp_path: Path):
    PushedVersions(str(tmp_path)).push(stores[0], "a", 0, keep=5)
    models = ServedModels(str(tmp_path), CACHE)
    (tmp_path / "CURRENT").write_text("{")
    assert models.refresh() is False
    assert "CURRENT is broken" in models.failure


def test_nothing_to_serve_is_said(tmp_path: Path):
    with pytest.raises(BeamfleetError, match="neither a pushed directory"):
        ServedModels(str(tmp_path / "missing"), CACHE)
    (tmp_path / "CURRENT").write_text(json.dumps({"version": 0, "highest": 0}))
    with pytest.raises(BeamfleetError, match="nothing was pushed"):
        ServedModels(str(tmp_path), CACHE)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", 70_000),
        ("max_rows", 0),
        ("model_name", "../x"),
        ("request_timeout_s", -1),
        ("model", ""),
    ],
)
def test_nonsense_settings_are_refused(setting: str, value: object):
    with pytest.raises(BeamfleetError):
        ServerConfig(**{"model": "m", setting: value})


def test_a_foreign_address_is_refused_and_the_status_file_says_so(tmp_path: Path):
    status = tmp_path / "status.json"
    with pytest.raises(BeamfleetError, match="cannot listen"):
        serve(ServerConfig("m", host="192.0.2.1", port=0, status_file=str(status)))
    assert json.loads(status.read_text())["state"] == "failed"


def test_the_command_refuses_bad_settings(capsys: pytest.CaptureFixture[str]):
    assert main(["m", "--max-rows=0"]) == 1
    assert capsys.readouterr().err == "error: max_rows must be above 0, got 0\n"


def test_a_version_that_was_pruned_gives_way_to_that_of_the_pointer(
    stores: list[str], tmp_path: Path
):
    versions = PushedVersions(str(tmp_path / "pushed"))
    versions.push(stores[0], "a", 0, keep=1)
    models = ServedModels(versions.directory, CACHE)
    stale = models.served
    versions.push(stores[1], "b", 1, keep=1)
    tamper(versions.current().path)
    assert models.refresh() is False
    versions.push(stores[0], "c", 2, keep=1)  # removes version 1
    tamper(versions.current().path)
    assert models.refresh() is False
    with pytest.raises(UnreadableModelError) as caught:
        stale.servable.models.own("HS-grad")
    said = models.report_damage(stale, caught.value)
    assert models.damage == said
    assert said.startswith("the model of entity 'HS-grad' in version 1 was removed or damaged")
    assert models.refresh() is False and models.damage
    tamper(versions.current().path)  # flips the same bit: mended
    models.report_damage(stale, caught.value)
    models._retry_at = 0.0
    assert models.refresh() is True
    assert (models.served.version, models.damage, models.failure) == ("3", "", "")
    models.report_damage(stale, caught.value)
    assert models.damage == ""


def test_a_model_that_cannot_be_decoded_stays_damage(stores: list[str], tmp_path: Path):
    uri = str(shutil.copytree(stores[0], tmp_path / "store"))
    writer = ShardWriter(uri, 0, 1)
    entry = IndexEntry(kind="entity", entity="x", status="trained", rows=1, framework="sklearn")
    writer.add(entry, b"nonsense")
    Path(uri, "manifest.json").unlink()
    commit(uri, SPEC, writer.close(), {})
    models = ServedModels(uri, CACHE)
    with pytest.raises(UnreadableModelError) as caught:
        models.served.servable.models.own("x")
    models.report_damage(models.served, caught.value)
    assert models.refresh() is False
    assert models.damage
