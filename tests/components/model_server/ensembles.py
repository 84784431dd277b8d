"""Small ensembles for the tests of serving; a server imports them from here."""

import base64
import io
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from PIL import Image

from components.ensemble.bundle import write_bundle
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.weights import ModelSource
from components.images.decode import Pixels

COLOURS = {"red": [255, 0, 0], "green": [0, 255, 0], "blue": [0, 0, 255]}


@dataclass(frozen=True)
class Colour:
    """What a stage gives."""

    text: str
    share: float


@dataclass
class Palette:
    colours: Mapping[str, Sequence[int]]


class Namer(ModelHandler[Pixels, PredictionResult, Palette]):
    """Names the colours of an image by a palette, in the order of the palette."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.sizes: list[int] = []

    def load_model(self) -> Palette:
        return Palette(json.loads(Path(self.folder, "palette.json").read_text()))

    def run_inference(self, batch, model, inference_args=None):
        self.sizes.append(len(batch))
        palette = np.array(list(model.colours.values()))
        for image in batch:
            distances = np.abs(image[:, :, None, :].astype(int) - palette).sum(-1)
            shares = np.bincount(distances.argmin(-1).ravel(), minlength=len(palette))
            colours = zip(model.colours, (shares / shares.sum()).tolist(), strict=True)
            yield PredictionResult(image, tuple(Colour(*c) for c in colours), "palette-1")

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"max_batch_size": 2}


class Ranker(ModelHandler[tuple[Pixels, Sequence[Colour]], Any, None]):
    """Puts the colours in the order of their shares; goes wrong as it is told."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self.wrong = wrong

    def load_model(self) -> None:
        if self.wrong == "load":
            raise OSError("no such tokenizer")

    def run_inference(self, batch, model, inference_args=None):
        served = "components.model_server" in sys.orig_argv
        for image, colours in batch:
            ranked = tuple(sorted(colours, key=lambda colour: -colour.share))
            wide = image.shape[1] > 100
            if self.wrong == "skewed" and served and wide:
                ranked = ranked[::-1]
            if self.wrong == "dying" and served and wide:
                print("out of everything", file=sys.stderr, flush=True)
                os._exit(3)
            if self.wrong == "slow":
                time.sleep(0.2)
            if self.wrong == "object":
                ranked = object()
            if self.wrong == "picky" and wide:
                raise ValueError("too\nwide")
            yield ranked


class Repeater(ModelHandler[tuple[str, int], Any, None]):
    """Repeats words; gives what needs care in JSON."""

    def load_model(self) -> None:
        pass

    def run_inference(self, batch, model, inference_args=None):
        for text, times in batch:
            rows = np.eye(2, dtype=np.float32)[:, ::-1]  # not in one piece
            yield {"text": text * times, "rows": rows, "score": np.nan, 1: np.int64(times)}


def colours_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> Ensemble:
    return Ensemble(
        Stage(hparams.get("first", "name"), Namer(models["namer"]), inputs="image"),
        Stage(
            "rank", Ranker(hparams.get("wrong", "")), inputs=("image", hparams.get("first", "name"))
        ),
    )


def words_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> Ensemble:
    return Ensemble(Stage("repeat", Repeater(), inputs=("text", "times")))


def colour_bundle(
    folder: Path, colours: Mapping[str, Sequence[int]] = COLOURS, **hparams: Any
) -> str:
    """An ensemble that names and ranks colours, in `folder`."""
    source = folder.with_name(f"{folder.name}-namer")
    source.mkdir(parents=True)
    (source / "palette.json").write_text(json.dumps(colours))
    models = {"namer": ModelSource(str(source))}
    return write_bundle(str(folder), f"{__name__}.colours_fn", models, hparams).uri


class Scaler(ModelHandler[float, float, None]):
    """Multiplies by what it is given with the batch, and by the environment."""

    def load_model(self) -> None:
        self.offset = float(os.environ["SCALER_OFFSET"])

    def run_inference(self, batch, model, inference_args=None):
        return [number * (inference_args or {}).get("factor", 1) + self.offset for number in batch]


def scale_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> Ensemble:
    handler = Scaler(env_vars={"SCALER_OFFSET": "0.5"})
    return Ensemble(Stage("scaled", handler, inputs="x", inference_args={"factor": 1000}))


def scale_bundle(folder: Path) -> str:
    return write_bundle(str(folder), f"{__name__}.scale_fn", {}, {}).uri


def words_bundle(folder: Path) -> str:
    return write_bundle(str(folder), f"{__name__}.words_fn", {}, {}).uri


def picture(width: int = 30, height: int = 20, kind: str = "PNG", seed: int = 0) -> bytes:
    """An image file of random stripes in pure colours."""
    random = np.random.default_rng(seed)
    stripes = random.choice(3, width)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, np.arange(width), stripes] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def noise(width: int, height: int) -> bytes:
    """A PNG file that is about as large as its pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def image_request(*files: bytes | str | None) -> dict[str, Any]:
    """A request as a client writes it; words go as they are."""
    data = [base64.b64encode(f).decode() if isinstance(f, bytes) else f for f in files]
    shape = [len(data)]
    return {"inputs": [{"name": "image", "shape": shape, "datatype": "BYTES", "data": data}]}


def image_examples(count: int, widest: int = 30) -> pa.Table:
    """Rows as image Examples have them, in list columns; the last image is the widest."""
    widths = [20 + i % 10 for i in range(count - 1)] + [widest]
    return pa.table(
        {
            "image_uri": [[f"{i}.png"] for i in range(count)],
            "image": [[picture(width, seed=i)] for i, width in enumerate(widths)],
            "objects": [[i] for i in range(count)],
        }
    )
