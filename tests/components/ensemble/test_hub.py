"""The Hugging Face hub without a network: its cache, or a message that says what to do."""

from pathlib import Path

import pytest

from components.ensemble.bundle import Bundle, write_bundle
from components.ensemble.weights import ModelSource
from components.errors import BeamfleetError
from tests.components.ensemble.bundles import FUNCTION, write_model
from tests.components.ensemble.hub_cache import EMPTY, NAME, write_cache
from tests.components.ensemble.hub_server import serve_hub

huggingface_hub = pytest.importorskip("huggingface_hub")

COMMIT, OLDER = "c" * 40, "0" * 40


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub that refuses connections."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    ask_at("http://127.0.0.1:9", monkeypatch)
    return tmp_path / "hub"


def ask_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the client ask there; it reads HF_ENDPOINT once, when it is imported."""
    url = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url)


def test_what_is_nowhere_says_how_to_get_it():
    for source in (ModelSource.parse(NAME), ModelSource.parse(f"{NAME}@{COMMIT}")):
        for act in (source.pinned, source.fetched):
            if act == source.pinned and source.revision:
                assert source.pinned() == source  # a commit needs nobody to say what it is
                continue
            with pytest.raises(BeamfleetError) as error:
                act()
            said = str(error.value)
            assert "is not in the cache" in said and "cannot be fetched (ConnectError" in said
            option = f" --revision {COMMIT}" if source.revision else ""
            assert f"`hf download {NAME}{option} --local-dir FOLDER`" in said
            assert "\n" not in said


def test_the_cache_is_used_and_the_commit_is_recorded(hub, caplog):
    write_cache(hub, OLDER)
    snapshot = write_cache(hub, COMMIT, "main")
    source = ModelSource.parse(NAME).pinned()
    assert source.revision == COMMIT
    assert f"pin it: {NAME}@{COMMIT}" in caplog.text
    weights = source.fetched()
    assert weights.folder == snapshot and weights.revision == COMMIT
    assert weights.files == ("config.json", "model.safetensors")
    older = ModelSource.parse(f"{NAME}@{OLDER}").fetched()
    assert older.folder.name == older.revision == OLDER


def test_an_ensemble_names_the_commits_of_its_models(hub, tmp_path):
    write_cache(hub, COMMIT, "main")
    models = {"one": ModelSource(NAME), "two": ModelSource(write_model(tmp_path / "two", 1))}
    bundle = write_bundle(str(tmp_path / "bundle"), FUNCTION, models, {})
    origins = [(m.source, m.revision) for m in Bundle(bundle.uri).models.values()]
    assert origins == [(NAME, COMMIT), (str(tmp_path / "two"), "")]
    assert not list((tmp_path / "bundle").rglob("*.bin"))
    assert not any(path.is_symlink() for path in (tmp_path / "bundle").rglob("*"))


def test_weights_are_fetched_from_the_hub_without_their_pickles(hub, monkeypatch):
    files = {
        "model.safetensors": EMPTY,
        "config.json": b"{}",
        "pytorch_model.bin": b"x",
        "x.py": b"",
    }
    with serve_hub(COMMIT, files) as (endpoint, sent):
        ask_at(endpoint, monkeypatch)
        source = ModelSource.parse(NAME).pinned()
        assert (source.revision, sent) == (COMMIT, [])  # a driver fetches nothing
        weights = source.fetched()
        assert weights.files == ("config.json", "model.safetensors")
        assert (weights.folder / "model.safetensors").read_bytes() == EMPTY
        assert sorted(sent) == ["config.json", "model.safetensors"]
    assert source.fetched() == weights  # the hub is gone, the cache is not


def test_a_model_that_the_hub_does_not_know_is_said_in_a_line(monkeypatch):
    with serve_hub(COMMIT, {}) as (endpoint, _):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        with pytest.raises(
            BeamfleetError, match=r"cannot be fetched \(RepositoryNotFoundError"
        ) as e:
            ModelSource.parse("some-lab/nothing").fetched()
    assert "\n" not in str(e.value)


def test_a_branch_is_resolved_as_well(hub):
    write_cache(hub, COMMIT, "refs/pr/7")
    assert ModelSource.parse(f"{NAME}@refs/pr/7").fetched().revision == COMMIT
    with pytest.raises(BeamfleetError, match="--revision main2"):
        ModelSource.parse(f"{NAME}@main2").fetched()


def test_links_of_a_cache_stay_in_it(hub):
    snapshot = write_cache(hub, COMMIT, "main")
    (snapshot / "vocab.txt").symlink_to("/etc/passwd")
    with pytest.raises(BeamfleetError, match=r"vocab.txt links to /etc/passwd, outside"):
        ModelSource.parse(NAME).fetched()


def test_a_folder_of_the_cache_is_a_folder(hub):
    source = ModelSource.parse(str(write_cache(hub, COMMIT)))
    assert source.fetched().files == ("config.json", "model.safetensors")
    assert source.pinned().sha256


def test_a_download_that_was_stopped_is_said(hub):
    snapshot = write_cache(hub, COMMIT, "main")
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(BeamfleetError, match=r"only as pytorch_model.bin"):
        ModelSource.parse(NAME).fetched()


def test_a_download_that_breaks_off_is_not_taken_from_the_cache(hub, monkeypatch):
    part = write_cache(hub, COMMIT, "main")

    def breaks(*_, local_files_only=False, **__):
        if local_files_only:
            return str(part)
        raise OSError("no space left on device")

    monkeypatch.setattr("components.ensemble.hub._ask", lambda *_: COMMIT)
    monkeypatch.setattr("huggingface_hub.snapshot_download", breaks)
    with pytest.raises(BeamfleetError, match="no space left"):
        ModelSource.parse(NAME).fetched()
