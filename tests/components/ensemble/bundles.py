"""Small ensembles with weights, as a user would write them, without any library of models."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from components.ensemble.bundle import write_bundle
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.weights import ModelSource
from components.errors import BeamfleetError

HERE = __name__
FUNCTION = f"{HERE}.ensemble_fn"
LOADED: list[str] = []
"""Folders whose weights were loaded."""


Weights = dict[str, float]


class Scale(ModelHandler[float, float, Weights]):
    """Multiplies a number by the one in weights.json."""

    def __init__(self, folder: str, offset: float = 0.0) -> None:
        super().__init__()
        self.folder, self.offset = folder, offset

    def load_model(self) -> Weights:
        LOADED.append(self.folder)
        return dict(json.loads(Path(self.folder, "weights.json").read_text()))

    def run_inference(
        self, batch: Sequence[float], model: Weights, inference_args: Any = None
    ) -> list[float]:
        return [number * model["factor"] + self.offset for number in batch]


class Wary(Scale):
    """Knows its files."""

    def check_files(self) -> None:
        raise BeamfleetError(f"{self.folder} holds a spoon")


class Sum(Scale):
    """Adds its inputs up before."""

    def run_inference(self, batch, model, inference_args=None):
        return super().run_inference([sum(numbers) for numbers in batch], model)


def ensemble_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> Ensemble:
    """`scaled` = x * one + offset, `total` = (x + scaled) * two."""
    return Ensemble(
        Stage(
            hparams.get("stage", "scaled"),
            Scale(models["one"], hparams.get("offset", 0)),
            inputs="x",
        ),
        Stage("total", Sum(models["two"]), inputs=("x", hparams.get("stage", "scaled"))),
    )


def other_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> Any:
    """Goes wrong as it is told."""
    if hparams["wrong"] == "raise":
        raise ValueError("no such size")
    if hparams["wrong"] == "refuse":
        raise BeamfleetError("sizes are 1 to 9")
    if hparams["wrong"] == "spoon":
        wary = Wary(models["one"]).with_postprocess_fn(int)
        return Ensemble(Stage("total", wary, inputs="x"))
    return [1, 2]


def write_model(folder: Path, factor: float) -> str:
    """Weights and settings of a Scale."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.json").write_text(json.dumps({"factor": factor}))
    (folder / "config.json").write_text('{"model_type": "scale"}')
    return str(folder)


def write_module(folder: Path) -> str:
    """A file of the user's own; the dotted path of its function, where `folder` is on the path."""
    name = f"own_{uuid.uuid4().hex}"
    code = f"from {HERE} import ensemble_fn as build\n"
    code += "def ensemble_fn(models, hparams): return build(models, hparams)\n"
    (folder / f"{name}.py").write_text(code)
    return f"{name}.ensemble_fn"


def make_bundle(folder: Path, factor: float, function: str = FUNCTION, **hparams: Any) -> str:
    """An ensemble in `folder`; its models lie beside it."""
    models = {
        name: ModelSource(write_model(folder.with_name(f"{folder.name}-{name}"), number))
        for name, number in (("one", factor), ("two", 10))
    }
    return write_bundle(str(folder), function, models, hparams).uri


def totals(ensemble: Ensemble, numbers: Sequence[float]) -> list[float]:
    """What the ensemble makes of x, stage by stage."""
    rows = [{"x": number} for number in numbers]
    for stage in ensemble.stages:
        results = stage.handler.run_inference(
            [stage.example(row) for row in rows], stage.handler.load_model()
        )
        for row, result in zip(rows, results, strict=True):
            row[stage.name] = result
    return [row["total"] for row in rows]
