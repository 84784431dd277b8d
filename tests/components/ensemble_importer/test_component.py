"""EnsembleImporter under TFX's launcher: artifact, cache, and the Pusher behind it."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.ensemble.bundle import Bundle
from components.errors import BeamfleetError
from components.pusher.versions import PushedVersions
from tests.components.ensemble.bundles import FUNCTION, totals, write_model, write_module
from tests.components.ensemble.hub_cache import NAME, write_cache

pytestmark = pytest.mark.e2e


def _run(root: Path, function: str, models: dict[str, str], **hparams: Any) -> tuple[Any, int]:
    """The newest Model artifact, and how many there are."""
    from ml_metadata import metadata_store
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    from components.ensemble_importer.component import EnsembleImporter
    from components.pusher.component import Pusher

    connection = metadata.sqlite_metadata_connection_config(str(root / "db"))
    importer = EnsembleImporter(function, models, hparams)
    pusher = Pusher(model=importer.outputs["model"], push_destination=str(root / "pushed"))
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="import",
            pipeline_root=str(root / "root"),
            metadata_connection_config=connection,
            components=[importer, pusher],
            enable_cache=True,
        )
    )
    found = metadata_store.MetadataStore(connection).get_artifacts_by_type("Model")
    return found[-1], len(found)


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    return {"one": write_model(tmp_path / "one", 3), "two": write_model(tmp_path / "two", 10)}


def test_an_ensemble_is_imported_and_pushed_once_for_each_content(tmp_path, models, monkeypatch):
    (tmp_path / "code").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "code")
    function = write_module(tmp_path / "code")
    pushed = PushedVersions(str(tmp_path / "pushed"))

    artifact, count = _run(tmp_path, function, models, offset=1)
    bundle = Bundle(artifact.uri)
    properties = {key: v.string_value for key, v in artifact.custom_properties.items()}
    assert properties["fingerprint"] == bundle.fingerprint
    assert (properties["inputs"], properties["stages"]) == ("x", "scaled, total")
    assert f"one: {models['one']} (SHA-256 {bundle.models['one'].sha256}); " in properties["models"]
    assert totals(Bundle(pushed.current().path).ensemble(), [1]) == [50]
    assert count == 1

    (tmp_path / "one" / "README.md").write_text("is no part of the model")
    write_model(tmp_path / "two", 10)  # the same content, another time
    assert _run(tmp_path, function, models, offset=1)[1] == 1  # from the cache

    write_model(tmp_path / "one", 4)
    assert _run(tmp_path, function, models, offset=1)[1] == 2
    assert pushed.current().number == 2
    [code] = (tmp_path / "code").iterdir()
    with code.open("a") as file:
        file.write("# another version\n")
    assert _run(tmp_path, function, models, offset=1)[1] == 3
    artifact, count = _run(tmp_path, function, models, offset=2)
    assert (count, pushed.current().number) == (4, 4)
    assert totals(Bundle(artifact.uri).ensemble(), [1]) == [70]


def _drive(properties: dict[str, Any]) -> str:
    from components.ensemble_importer.driver import Driver

    class Execution:
        exec_properties, input_dict = properties, dict[str, list[object]]()

    return str(Driver(None).run(Execution()).exec_properties["sources"].string_value)


def test_the_commit_that_the_driver_saw_is_imported(tmp_path, models, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from tfx.types import standard_artifacts

    from components.ensemble_importer.component import EnsembleImporter
    from components.ensemble_importer.executor import Executor

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    write_cache(tmp_path / "hub", "a" * 40, "main")
    properties = dict(EnsembleImporter(FUNCTION, {**models, "one": NAME}).exec_properties)
    sources = _drive(properties)
    write_cache(tmp_path / "hub", "b" * 40, "main")  # the branch moves on meanwhile
    assert _drive(properties) != sources
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model")
    Executor().Do({}, {"model": [model]}, {**properties, "sources": sources})
    assert f"one: {NAME}@{'a' * 40}; " in model.get_string_custom_property("models")
    assert Bundle(model.uri).models["one"].revision == "a" * 40


def test_weights_that_changed_after_the_driver_saw_them_are_refused(tmp_path, models):
    from tfx.types import standard_artifacts

    from components.ensemble_importer.component import EnsembleImporter
    from components.ensemble_importer.executor import Executor

    properties = dict(EnsembleImporter(FUNCTION, models).exec_properties)

    sources = _drive(properties)
    assert set(json.loads(sources)["one"]) == {"source", "revision", "sha256"}
    write_model(tmp_path / "one", 4)
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model")
    with pytest.raises(BeamfleetError, match=r"'one' .* changed while"):
        Executor().Do({}, {"model": [model]}, {**properties, "sources": sources})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.ensemble_fn", {}), "no module 'nowhere'"),
        ((FUNCTION, {"one": "no/such/folder"}), "no folder 'no/such/folder'"),
        ((FUNCTION, {"../one": "a/b"}), "the name of a model"),
        ((FUNCTION, {"one": "a/b"}, {"size": {1}}), "JSON values only"),
    ],
)
def test_bad_parameters_are_refused_when_the_node_is_made(arguments, message):
    from components.ensemble_importer.component import EnsembleImporter

    with pytest.raises(BeamfleetError, match=message):
        EnsembleImporter(*arguments)
