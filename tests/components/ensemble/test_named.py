"""Models of a bundle are named by what they are, and not by the folder of a copy."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from apache_beam.ml.inference.base import PredictionResult

from components.ensemble.bundle import Bundle, write_bundle
from components.ensemble.declaration import BundledModel, content_of
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.live_ensemble import live_ensemble
from components.ensemble.record import Record
from components.ensemble.stage_handler import StageHandler
from components.ensemble.weights import ModelSource
from components.pusher.versions import PushedVersions
from tests.components.ensemble.bundles import Scale, write_model

HASH = "3f2a90c1d5e7" + "0" * 52


class Titled(Scale):
    """Names its folder or a file of it, as handlers do, or what its hparam says."""

    def __init__(self, folder: str, title: str) -> None:
        super().__init__(folder)
        self.title = title.format(folder=folder)

    def run_inference(self, batch, model, inference_args=None):
        numbers = super().run_inference([float(text) for text in batch], model)
        return [
            PredictionResult(*pair, self.title) if self.title else pair[1]
            for pair in zip(batch, numbers, strict=True)
        ]


def ensemble_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> Ensemble:
    handler = Titled(models["one"], hparams["title"])
    return Ensemble(Stage("y", handler.with_preprocess_fn(str), inputs="x"))


def make_bundle(folder: Path, factor: float, title: str = "{folder}") -> Bundle:
    """Its model lies beside it; beginnings of its name are those of another model's."""
    models = {
        name: ModelSource(write_model(folder.parent / f"model-{number}", number))
        for name, number in (("one", factor), ("on", 7.0))
    }
    return write_bundle(str(folder), f"{__name__}.ensemble_fn", models, {"title": title})


def versions_of(ensemble: Ensemble) -> dict[str, str]:
    """What a record says of its models."""
    handler = StageHandler(ensemble.stages[0])
    [record] = handler.run_inference([Record("a", {"x": 2})], handler.load_model())
    assert record.failure is None and record.values["y"] in (6, 8)
    return record.versions


@pytest.mark.parametrize("title", ["{folder}", "{folder}/weights.json"])
def test_a_model_has_the_same_name_wherever_its_copy_lies(tmp_path, title):
    bundle = make_bundle(tmp_path / "bundle", 3, title)
    name = f"{tmp_path}/model-3@{bundle.models['one'].sha256[:12]}"
    assert versions_of(bundle.ensemble()) == {"y": name}
    elsewhere = Bundle(str(shutil.copytree(bundle.uri, tmp_path / "elsewhere")))
    assert versions_of(elsewhere.ensemble()) == {"y": name}


@pytest.mark.parametrize("title", ["tiny-1", "{folder}-2", ""])
def test_what_a_handler_says_otherwise_is_kept(tmp_path, title):
    bundle = make_bundle(tmp_path / "bundle", 3, title)
    kept = title.format(folder=f"{bundle.uri}/models/one")
    assert versions_of(bundle.ensemble()) == ({"y": kept} if title else {})


def test_a_live_version_is_named_with_its_model(tmp_path):
    pushed = PushedVersions(str(tmp_path / "pushed"))
    for number, factor in enumerate((3.0, 3.0, 4.0), start=1):
        # The same weights under other hparams are another version of the same model.
        title = "{folder}" if number == 1 else "{folder}/"
        bundle = make_bundle(tmp_path / str(number), factor, title)
        pushed.push(bundle.uri, bundle.uri, number - 1, keep=5)
        name = f"{tmp_path}/model-{factor}@{bundle.models['one'].sha256[:12]}"
        found = versions_of(live_ensemble(pushed.directory, 3600))
        assert found == {"y": f"{pushed.directory}/{number} {name}"}


def test_only_the_content_tells_models_apart():
    folder, copy = BundledModel("models/a", "", HASH), BundledModel("/elsewhere/b", "", HASH)
    hub = BundledModel("Salesforce/blip", "82a3776", HASH)
    assert hub.name == "Salesforce/blip@82a3776@3f2a90c1d5e7"
    assert folder.name == "models/a@3f2a90c1d5e7" != copy.name
    assert {content_of(model.name) for model in (folder, copy, hub)} == {"3f2a90c1d5e7"}
    assert content_of("tiny-1") == "tiny-1" and content_of("tiny@v1") == "tiny@v1"
