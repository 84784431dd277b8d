"""Versions in a pushed directory: real models of small images, and ones that say who they are."""

import json
import logging
import pickle
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.ml.inference.sklearn_inference import SklearnModelHandlerNumpy
from sklearn.linear_model import LogisticRegression

from components.ensemble import live
from components.pusher import files
from components.pusher.directory import Pointer, PushedDirectory

LOADED: dict[str, "weakref.ref[Any]"] = {}
"""Folder of a version -> its model, as long as somebody has it."""


def push(directory: Path, write: Callable[[Path], Any]) -> str:
    """Makes the next version current; `write` fills its folder, whose path is returned."""
    directory.mkdir(exist_ok=True)
    pushed = PushedDirectory(str(directory))
    pushed.start_if_empty()
    number = pushed.pointer().highest + 1
    folder = directory / str(number)
    folder.mkdir()
    write(folder)
    details = {"number": number, "previous_version": pushed.pointer().version}
    files.write_json(folder / "version.json", details)
    point(directory, number)
    return str(folder)


def point(directory: Path, number: int) -> None:
    pushed = PushedDirectory(str(directory))
    pushed.point(Pointer(number, max(number, pushed.pointer().highest)))


def paint(colour: int, seed: int) -> np.ndarray:
    """(8, 8, 3) uint8, noise that is strongest in one channel."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 100, (8, 8, 3))
    image[..., colour] += 120
    return image.astype(np.uint8)


def colours(*words: str) -> Callable[[Path], None]:
    """A classifier of painted images, whose classes are the words for red, green and blue."""

    def write(folder: Path) -> None:
        images = [paint(n % 3, n) for n in range(60)]
        model = LogisticRegression(max_iter=200)
        model.fit([as_row(image) for image in images], [words[n % 3] for n in range(60)])
        (folder / "model.pkl").write_bytes(pickle.dumps(model))

    return write


def as_row(image: Any) -> np.ndarray:
    """(192,); an image that does something first does it here, in the middle of a batch."""
    pixels: np.ndarray = image() if callable(image) else image
    return pixels.reshape(-1) / 255


class Tracked(SklearnModelHandlerNumpy):
    """Beam's, and says what it has loaded."""

    def load_model(self) -> Any:
        model = super().load_model()
        LOADED[str(Path(self._model_uri).parent)] = weakref.ref(model)
        return model


def colour_handler(path: str) -> ModelHandler[Any, Any, Any]:
    handler = Tracked(f"{path}/model.pkl", min_batch_size=4, max_batch_size=4)
    return handler.with_preprocess_fn(as_row)


def named(name: str) -> Callable[[Path], Any]:
    """A version of `Named`; one without a name cannot be loaded."""
    return lambda folder: (folder / "name.json").write_text(json.dumps(name) if name else "{")


class Model:
    """Says who it is; refers to itself, as many models do, so that only gc can free it."""

    def __init__(self, name: str) -> None:
        self.name, self.itself = name, self


class Named(ModelHandler[Any, Any, Model]):
    """Gives each example with the name of the model."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(**options)
        self.path = path

    def load_model(self) -> Model:
        model = Model(json.loads(Path(self.path, "name.json").read_text()))
        LOADED[self.path] = weakref.ref(model)
        return model

    def run_inference(self, batch, model, inference_args=None):
        for example in batch:
            if callable(example):  # so that a test can do things in the middle of a batch
                example()
            yield model.name, example


class Swaps(logging.Handler):
    """Lets a test wait until a live model has swapped, or has said that it cannot."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seen = threading.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        if "serving version" in record.getMessage():
            self.seen.release()

    def wait(self) -> None:
        assert self.seen.acquire(timeout=60), "no live model has seen it"

    def __enter__(self) -> "Swaps":
        live.LOG.addHandler(self)
        self.level_before = live.LOG.level
        live.LOG.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        live.LOG.removeHandler(self)
        live.LOG.setLevel(self.level_before)
