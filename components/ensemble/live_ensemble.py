"""A pushed ensemble whose stages follow the pushed directory."""

from dataclasses import replace
from functools import partial
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from components.ensemble.bundle import Bundle
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.live import LiveHandler, current_version
from components.errors import BeamfleetError


def live_ensemble(directory: str, poll_s: float = 10.0) -> Ensemble:
    """The current version's ensemble; each of its stages swaps to a new version by itself.

    A version whose ensemble has not the same stages is not swapped to, see LiveHandler.

    Args:
      directory: pushed directory of ensembles.
      poll_s: seconds between two looks at the pointer.

    Raises:
      BeamfleetError: nothing was pushed yet, or the current version is broken.
    """
    now = Bundle(current_version(directory).path).ensemble()
    stages = [_live(directory, stage, poll_s) for stage in now.stages]
    return Ensemble(*stages, memory_mb=now.memory_mb)


def _live(directory: str, stage: Stage, poll_s: float) -> Stage:
    make_handler = partial(_handler, stage.name, stage.columns)
    return replace(stage, handler=LiveHandler(directory, make_handler, poll_s))


def _handler(name: str, columns: tuple[str, ...], path: str) -> ModelHandler[Any, Any, Any]:
    for stage in Bundle(path).ensemble().stages:
        if (stage.name, stage.columns) == (name, columns):
            return stage.handler
    raise BeamfleetError(
        f"{path} has no stage {name} of {', '.join(columns)}; push an ensemble with the same "
        "stages, or start the stream again"
    )
