"""Finds a pipeline: one of ours by name, or a user's file."""

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from components.errors import BeamfleetError
from components.user_function import described
from pipelines.pipeline import Pipeline
from pipelines.spelling import meant

PIPELINES = {
    "census": "one income model per education level, from census rows",
    "taxi": "will the passenger tip well? one TensorFlow model, with every step of TFX",
    "payments": "is a card transaction a fraud? features of a stream, a model per category",
    "captions": "captions of images by BLIP, ranked by CLIP, evaluated, served and pushed as one",
}
"""Our own pipelines: each is the module `pipelines.<name>`."""
_USER_MODULE = "beamfleet_user_pipeline"
_EXPECTED = "pipeline(root=None, ...) -> Pipeline"


def load_pipeline(target: str, root: Path | None, **options: object) -> Pipeline:
    """Calls the function `pipeline` of one of our modules, or of a user's file.

    Args:
      target: A name in PIPELINES, or the path of a Python file.
      root: Folder for the runs; None lets the pipeline choose.
      options: What else the command line was given (data, eval_data, images, ...). None is not
        passed on, and one that the function has no parameter for is refused.

    Raises:
      BeamfleetError: there is no such pipeline, it makes none, or it does not take an option.
    """
    module = _load(target)
    function = getattr(module, "pipeline", None)
    if not callable(function):
        raise BeamfleetError(f"{target} has no function {_EXPECTED}")
    given = {name: value for name, value in options.items() if value is not None}
    _check_signature(function, target, given)
    with _named(target):
        made = function(root=root, **given)
    if not isinstance(made, Pipeline):
        raise BeamfleetError(
            f"{target}: pipeline() returned {type(made).__name__}, expected a pipelines Pipeline "
            "(without .build())"
        )
    return made


def add_project(folder: Path) -> None:
    """Puts a user's folder first on the path, as `python FOLDER/pipeline.py` does.

    Child processes get it as well: Beam's and the trainer's workers import `user_code` too.
    """
    text = str(folder)
    if sys.path[0] != text:
        sys.path.insert(0, text)
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != text]
    os.environ["PYTHONPATH"] = os.pathsep.join([text, *others])
    importlib.invalidate_caches()


def _load(target: str) -> ModuleType:
    if target in PIPELINES:
        return importlib.import_module(f"pipelines.{target}")
    path = Path(target)
    if path.suffix != ".py":
        raise BeamfleetError(
            f"no pipeline {target!r}: give one of {', '.join(PIPELINES)}, or the path of a "
            f"Python file such as shop/pipeline.py{meant(target, PIPELINES)}"
        )
    if not path.is_file():
        raise BeamfleetError(f"there is no file {target}")
    path = path.resolve()
    add_project(path.parent)
    spec = importlib.util.spec_from_file_location(_USER_MODULE, path)
    if spec is None or spec.loader is None:
        raise BeamfleetError(f"{target} cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_USER_MODULE] = module
    with _named(target):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _named(target: str) -> Iterator[None]:
    """Says of an error where in the user's file it is."""
    try:
        yield
    except BeamfleetError:
        raise
    except Exception as error:
        raise BeamfleetError(described(error, Path(target).resolve())) from error


def _check_signature(
    function: Callable[..., object], target: str, options: Mapping[str, object]
) -> None:
    parameters = inspect.signature(function).parameters
    if "root" not in parameters:
        raise BeamfleetError(f"{target}: pipeline() does not take root, expected {_EXPECTED}")
    if unknown := [name for name in options if name not in parameters]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in unknown)
        raise BeamfleetError(
            f"{target} takes no {flags}: its pipeline() has no parameter {', '.join(unknown)}"
        )
