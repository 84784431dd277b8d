"""Ensembles as artifacts: whole or absent, checked, and the same wherever they lie."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import apache_beam as beam
import pytest

from components.ensemble.around import innermost
from components.ensemble.bundle import Bundle, write_bundle
from components.ensemble.changed_code import changes
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.ensemble.weights import ModelSource
from components.errors import BeamfleetError
from tests.components.ensemble import bundles
from tests.components.ensemble.bundles import (
    FUNCTION,
    HERE,
    LOADED,
    ensemble_fn,
    make_bundle,
    totals,
    write_model,
    write_module,
)
from tests.components.ensemble.handlers import COLLECTED, collect
from tests.components.memory_files import MemoryFileSystem


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("written")
    uri = make_bundle(folder / "bundle", 3, offset=1)
    for name in ("one", "two"):
        shutil.rmtree(folder / f"bundle-{name}")  # a bundle has its own copy
    return uri


@pytest.fixture
def bundle(tmp_path: Path, written: str) -> Bundle:
    return Bundle(str(shutil.copytree(written, tmp_path / "bundle")))


def change(bundle: Bundle, **changes: object) -> None:
    path = Path(bundle.uri, "ensemble.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_ensemble_comes_back_as_it_was_written(bundle):
    assert totals(bundle.ensemble(), [1, 2]) == [50, 90]


def test_it_runs_on_beam(bundle):
    COLLECTED.clear()
    records = [Record(str(x), {"x": x}) for x in range(10)] + [Record("none", {})]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(records)
            | RunEnsemble(bundle.ensemble())
            | "Collect" >> beam.Map(collect)
        )
    assert len(COLLECTED) == 11
    assert {r.key for r in COLLECTED if r.failure} == {"none"}
    assert all(r.values["total"] == 40 * r.values["x"] + 10 for r in COLLECTED if not r.failure)


def test_it_says_what_it_is_without_loading_weights(tmp_path):
    LOADED.clear()
    bundle = Bundle(make_bundle(tmp_path / "bundle", 3, offset=1))
    assert bundle.inputs == ("x",)
    assert [(s.name, s.inputs) for s in bundle.stages] == [
        ("scaled", ("x",)),
        ("total", ("x", "scaled")),
    ]
    assert bundle.interface == {"inputs": ["x"], "stages": ["scaled", "total"]}
    assert bundle.counts == {"models": 2, "stages": 2, "files": 4}
    assert bundle.models["one"].source == str(tmp_path / "bundle-one")
    assert innermost(bundle.ensemble().stages[0].handler).offset == 1
    assert LOADED == []


def test_the_file_has_the_documented_fields(bundle):
    content = json.loads(Path(bundle.uri, "ensemble.json").read_text())
    assert content["format"] == "beamfleet-ensemble" and content["version"] == 1
    assert content["ensemble_fn"] == FUNCTION
    assert content["hparams"] == {"offset": 1}
    assert content["stages"][1] == {"name": "total", "inputs": ["x", "scaled"]}
    assert content["fingerprint"] == bundle.fingerprint
    assert set(content["files"]) == {
        f"models/{model}/{file}.json" for model in ("one", "two") for file in ("config", "weights")
    }
    assert set(content["models"]["one"]) == {"source", "revision", "sha256"}


def test_the_fingerprint_is_of_the_content(tmp_path):
    bundle = Bundle(make_bundle(tmp_path / "bundle", 3, offset=1))
    same = Bundle(make_bundle(tmp_path / "elsewhere", 3, offset=1))
    assert same.models["one"].source != bundle.models["one"].source
    assert same.fingerprint == bundle.fingerprint
    others = [
        make_bundle(tmp_path / "weights", 4, offset=1),
        make_bundle(tmp_path / "hparams", 3, offset=2),
        make_bundle(tmp_path / "stages", 3, offset=1, stage="other"),
    ]
    prints = {Bundle(uri).fingerprint for uri in others}
    assert len(prints | {bundle.fingerprint}) == 4
    interfaces = [
        Bundle(uri).interface_fingerprint == bundle.interface_fingerprint for uri in others
    ]
    assert interfaces == [True, True, False]


def test_the_code_is_part_of_the_fingerprint(tmp_path, monkeypatch, caplog):
    monkeypatch.syspath_prepend(tmp_path)
    function = write_module(tmp_path)
    first = Bundle(make_bundle(tmp_path / "first", 2, function))
    first.ensemble()
    assert "changed since" not in caplog.text
    [code] = tmp_path.glob("own_*.py")
    with code.open("a") as file:
        file.write("# another version\n")
    second = Bundle(make_bundle(tmp_path / "second", 2, function))
    assert second.fingerprint != first.fingerprint
    first.ensemble()
    first.ensemble()
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{first.uri}: {code.name} changed since it was written; ")


def test_a_bundle_that_knows_no_parts_of_its_code_is_read(bundle, monkeypatch, caplog):
    document = json.loads(Path(bundle.uri, "ensemble.json").read_text())
    del document["code"]
    Path(bundle.uri, "ensemble.json").write_text(json.dumps(document))
    monkeypatch.setattr("components.ensemble.bundle.code_fingerprint", lambda path: "another")
    Bundle(bundle.uri).ensemble()
    assert "its code or libraries changed since" in caplog.text


def test_changes_are_named():
    before = {"torch": "2.8", "numpy": "2.0", "a.py": "0" * 64, "b.py": "1" * 64}
    assert changes(before, {**before, "torch": "2.9", "c.py": "2"}) == (
        "c.py, torch (2.8, now 2.9)"
    )
    assert changes(before, {}) == "a.py, b.py, numpy (2.0, now none), torch (2.8, now none)"
    many = {f"{i}.py": "x" for i in range(9)}
    assert changes(before, {**before, **many}).endswith("3.py, 4.py, 4 more")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: Path(b.uri, "ensemble.json").unlink(), "has no ensemble.json"),
        (lambda b: shutil.rmtree(b.uri), "has no ensemble.json"),
        (lambda b: Path(b.uri, "ensemble.json").write_text("{"), "not JSON"),
        (lambda b: Path(b.uri, "ensemble.json").write_text("[" * 200_000), "not JSON"),
        (lambda b: Path(b.uri, "ensemble.json").write_text("[]"), "format 'beamfleet-ensemble'"),
        (lambda b: change(b, format="other"), "format 'beamfleet-ensemble' expected"),
        (lambda b: change(b, version=2), "version 2, this release reads 1"),
        (lambda b: change(b, hparams={"offset": 2}), "changed after it was written"),
        (lambda b: change(b, ensemble_fn="os.system"), "changed after it was written"),
        (lambda b: change(b, ensemble_fn=None), "ensemble_fn is missing"),
        (lambda b: change(b, inputs=[1]), "inputs must be words"),
        (lambda b: change(b, stages=["x"]), "name is missing"),
        (lambda b: change(b, models={"../x": {}}), "source is missing"),
        (lambda b: change(b, models={**_models(b), "../x": _models(b)["one"]}), "letters, digits"),
        (lambda b: change(b, models={"one": _models(b)["one"]}), "of no model"),
        (lambda b: change(b, files={**_files(b), "models/one/../../x": "0"}), "outside"),
        (lambda b: change(b, files={**_files(b), "models/one/\ud800": "0"}), "outside"),
        (lambda b: change(b, files={**_files(b), "models/one/x": "0"}), "no SHA-256"),
        (lambda b: change(b, files={**_files(b), "models/one/x": "0" * 64}), "has other files"),
        (lambda b: change(b, fingerprint="0"), "changed after it was written"),
    ],
)
def test_what_is_not_an_ensemble_is_refused(bundle, damage, message):
    damage(bundle)
    with pytest.raises(BeamfleetError, match=message):
        Bundle(bundle.uri)


def _models(bundle: Bundle) -> dict[str, object]:
    return json.loads(Path(bundle.uri, "ensemble.json").read_text())["models"]


def _files(bundle: Bundle) -> dict[str, object]:
    return json.loads(Path(bundle.uri, "ensemble.json").read_text())["files"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "weights.json").write_text('{"factor": 4}'), "weights.json was changed"),
        (lambda f: (f / "weights.json").unlink(), "weights.json is missing"),
        (lambda f: (f / "code.py").write_text("boom"), "code.py does not belong"),
        (lambda f: (f / "adapters").symlink_to("/etc"), "adapters does not belong"),
    ],
)
def test_changed_files_are_found_before_they_are_used(bundle, damage, message):
    bundle.check()
    damage(Path(bundle.uri, "models", "one"))
    with pytest.raises(BeamfleetError, match=message):
        bundle.check()
    with pytest.raises(BeamfleetError, match=message):
        bundle.ensemble()


def test_a_function_that_builds_something_else_now_is_refused(bundle, monkeypatch):
    monkeypatch.setattr(
        bundles, "ensemble_fn", lambda m, h: ensemble_fn(m, {**h, "stage": "renamed"})
    )
    with pytest.raises(BeamfleetError, match=r"renamed\(x\), .* now, but scaled\(x\), .* when"):
        bundle.ensemble()


@pytest.mark.parametrize(
    ("ensemble", "hparams", "message"),
    [
        ("other_fn", {"wrong": "raise"}, r"other_fn failed: .*line \d+: ValueError: no such size"),
        ("other_fn", {"wrong": "refuse"}, "other_fn: sizes are 1 to 9"),
        ("other_fn", {"wrong": "list"}, "gave a list, expected an components.ensemble.graph.Ensem"),
        ("other_fn", {"wrong": "spoon"}, r"stage 'total': .*/one holds a spoon"),
        ("other_fn", {}, r"KeyError: 'wrong' \(models: one; hparams: \)"),
        ("ensemble_fn", {}, r"KeyError: 'two' \(models: one; "),
        ("no_fn", {}, "has no function 'no_fn'"),
        ("ensemble_fn", {"offset": {1}}, "JSON values only"),
        ("ensemble_fn", {"offset": float("nan")}, "JSON values only"),
    ],
)
def test_a_function_that_fails_is_named_and_nothing_is_written(
    tmp_path, ensemble, hparams, message
):
    models = {"one": ModelSource(write_model(tmp_path / "one", 2))}
    with pytest.raises(BeamfleetError, match=message):
        write_bundle(str(tmp_path / "bundle"), f"{HERE}.{ensemble}", models, hparams)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("name", ["", "../one", "a b", "-x", "a" * 65])
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    models = {name: ModelSource(write_model(tmp_path / "one", 2))}
    with pytest.raises(BeamfleetError, match="the name of a model must be"):
        write_bundle(str(tmp_path / "bundle"), FUNCTION, models, {})


def test_an_ensemble_is_never_overwritten(bundle, tmp_path):
    with pytest.raises(BeamfleetError, match="holds an ensemble already"):
        make_bundle(tmp_path / "bundle", 4)
    bundle.check()


_TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


def _killed_write(folder: Path, function: str, at: int) -> bool:
    """Writes in a process that dies before its n-th change of the folder; False: it lived."""
    child = os.fork()
    if child == 0:
        left = at

        def kill(event: str, args: tuple[object, ...]) -> None:
            nonlocal left
            if event not in _TOUCHES or (event == "open" and args[1] in ("r", "rb")):
                return
            if any(str(arg).startswith(f"{folder}/") for arg in args):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        make_bundle(folder, 3, function)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_killed_write_leaves_no_ensemble_and_is_written_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    function = write_module(tmp_path)
    at = 0
    while _killed_write(folder := tmp_path / f"bundle-{at}", function, at + 1):
        with pytest.raises(BeamfleetError, match="its writing was stopped"):
            Bundle(str(folder))
        strange = folder / "models" / "one" / "left.json"
        strange.parent.mkdir(parents=True, exist_ok=True)
        strange.touch()
        Bundle(make_bundle(folder, 4, function)).check()
        at += 1
    Bundle(str(folder)).check()
    assert at >= 6  # four files, their folders, ensemble.json: it did die at many places


def test_a_remote_ensemble_is_copied_once_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources = {name: ModelSource(write_model(tmp_path / name, 3)) for name in ("one", "two")}
    MemoryFileSystem.files["memory://store/bundle/models/one/left.json"] = b"of a killed write"
    remote = write_bundle("memory://store/bundle", FUNCTION, sources, {})
    remote.check()
    MemoryFileSystem.read.clear()
    first = remote.ensemble()
    assert totals(first, [1]) == [12]
    assert len(MemoryFileSystem.read) == 4
    again = remote.ensemble()
    handlers = [innermost(ensemble.stages[0].handler) for ensemble in (first, again)]
    assert handlers[0].folder == handlers[1].folder
    assert len(MemoryFileSystem.read) == 4  # from the cache
    [copy] = (tmp_path / "cache" / "beamfleet" / "ensembles").iterdir()
    assert copy.name == remote.fingerprint
    (copy / "models" / "one" / "weights.json").write_text('{"factor": 1}')
    with pytest.raises(BeamfleetError, match=r"weights.json was changed"):
        remote.ensemble()


def test_a_changed_remote_file_is_found_while_it_is_copied(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources = {name: ModelSource(write_model(tmp_path / name, 3)) for name in ("one", "two")}
    remote = write_bundle("memory://store/changed", FUNCTION, sources, {})
    MemoryFileSystem.files[f"{remote.uri}/models/two/weights.json"] = b"{}"
    with pytest.raises(BeamfleetError, match=r"weights.json was changed"):
        remote.ensemble()
    assert list((tmp_path / "cache" / "beamfleet" / "ensembles").iterdir()) == []
