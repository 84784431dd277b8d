"""A stage whose model follows the pointer of a pushed directory while a stream runs."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.ensemble.around import HandlerAround
from components.ensemble.memory import free_memory
from components.ensemble.predict import predict
from components.errors import BeamfleetError
from components.files import exists
from components.pusher.versions import PushedVersions, Version

LOG = logging.getLogger(__name__)
_RETRY_S = 30.0

MakeHandler = Callable[[str], ModelHandler[Any, Any, Any]]
"""Folder of a version -> the handler for it; must be picklable, as handlers are."""


class LiveHandler(HandlerAround):
    """Predicts with the version that a pushed directory names, also when it comes to name another.

    The new version is loaded beside the old one, so there must be room for both, and replaces it
    when it is whole. A batch is predicted by one version; the old one is freed with its last batch.
    A version that cannot be loaded leaves the old one in place, also in a worker that starts then:
    it is logged once and tried again later. Each result is a PredictionResult whose `model_id`
    names the folder of the version, and behind it the model, where the handler names that. Versions
    do not go backwards in a worker, unless the directory is rolled back. Stages follow the
    directory each on its own: a record may have a caption of version 1 and a rank of version 2, and
    says so.

    Beam's own update (`watch_model_pattern`, a side input) is not used: it loads between two
    batches, so that the stream stands still meanwhile; a version that cannot be loaded fails the
    pipeline; and it needs an unbounded side input from the runner and one file by pattern, where a
    pushed version is a folder that is whole when the pointer names it.

    Example:
        spotter = LiveHandler("/pushed/cats", lambda path: OnnxModelHandlerNumpy(f"{path}/c.onnx"))
        Stage("cat", spotter, inputs="image")    # a whole pushed ensemble: see `live_ensemble`
    """

    def __init__(self, directory: str, make_handler: MakeHandler, poll_s: float = 10.0) -> None:
        """Reads the pointer and makes the handler for it, which says how to batch; loads nothing.

        Args:
          directory: pushed directory, on any Beam filesystem.
          make_handler: makes the handler for the folder of a version.
          poll_s: seconds between two looks at the pointer.

        Raises:
          BeamfleetError: nothing was pushed yet, or the handler shares its model among processes.
        """
        super().__init__(make_handler(current_version(directory).path))
        if super().share_model_across_processes():
            raise BeamfleetError(
                f"{directory}: a live model is loaded once in each process; leave out large_model "
                "and model_copies"
            )
        self._directory, self._make_handler, self._poll_s = directory, make_handler, poll_s

    def load_model(self) -> "LiveModel":
        return LiveModel(self._directory, self._make_handler, self._poll_s)

    def run_inference(
        self,
        batch: Sequence[Any],
        model: "LiveModel",
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """Gives one result an example, all of one version.

        Raises:
          Exception: whatever the version's handler raises.
        """
        served = model.served  # taken once
        path = served.version.path
        results = [
            _named(example, result, path)
            for example, result in zip(
                batch, predict(served.handler, batch, served.model, inference_args), strict=True
            )
        ]
        if served is not model.served:
            del served  # replaced meanwhile, and this may have been its last batch
            free_memory()
        return results

    def update_model_path(self, model_path: str | None = None) -> None:
        """Refuses Beam's way to update a model.

        Raises:
          BeamfleetError: always, where there is a path.
        """
        if model_path:
            raise BeamfleetError(
                f"{self._directory} says which version is live; leave out watch_model_pattern"
            )


@dataclass(frozen=True)
class Served:
    """One loaded version. A batch takes it once, so that a swap falls between batches."""

    version: Version
    handler: ModelHandler[Any, Any, Any]
    model: Any


class LiveModel:
    """The version in service, and a thread that looks for another; it ends with this object.

    Raises:
      BeamfleetError: nothing was pushed yet.
      Exception: whatever the handler raises on loading, if no version was served before this one.
    """

    def __init__(self, directory: str, make_handler: MakeHandler, poll_s: float) -> None:
        self._directory = directory
        self._make_handler = make_handler
        self._failed: Version | None = None
        self._retry_at = 0.0
        self.failure = ""
        """Why the version that CURRENT names is not served; "" if it is."""
        self.served = self._first()
        stop = threading.Event()
        weakref.finalize(self, stop.set)
        arguments = (weakref.ref(self), stop, poll_s)
        threading.Thread(
            target=_watch, args=arguments, name=f"live {directory}", daemon=True
        ).start()

    def refresh(self) -> bool:
        """Looks at the pointer and swaps if it moved; says in the log what it does.

        Returns:
          Whether another version is served now.
        """
        before = self.served.version.number
        try:
            wanted = current_version(self._directory)
            if wanted == self.served.version:
                self._recovered()
                return False
            if wanted == self._failed and time.monotonic() < self._retry_at:
                return False
            self._failed, self._retry_at = wanted, time.monotonic() + _RETRY_S
            self.served = self._open(wanted)
        except Exception as error:
            self._fail(before, error)
            return False
        self._recovered()
        free_memory()
        LOG.info("%s: serving version %s instead of %s", self._directory, wanted.number, before)
        return True

    def _first(self) -> Served:
        """The current version, or the one before it, which older workers serve meanwhile.

        A runner may set up a stage for each bundle, and shut idle ones down: a broken version must
        not stop the stream then either.
        """
        wanted = current_version(self._directory)
        try:
            return self._open(wanted)
        except Exception as error:
            before = int(wanted.details.get("previous_version", 0))
            if not before:
                raise
            self._failed, self._retry_at = wanted, time.monotonic() + _RETRY_S
            self._fail(before, error)
        return self._open(PushedVersions(self._directory).version(before))

    def _open(self, version: Version) -> Served:
        handler = self._make_handler(version.path)
        handler.set_environment_vars()
        return Served(version, handler, handler.load_model())

    def _fail(self, served: int, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if reason != self.failure:
            LOG.error("%s: still serving version %s: %s", self._directory, served, reason)
        self.failure = reason

    def _recovered(self) -> None:
        self.failure, self._failed = "", None


def current_version(directory: str) -> Version:
    """The version that the pointer names.

    Raises:
      BeamfleetError: nothing was pushed yet, or the directory is broken.
    """
    version = PushedVersions(directory).current()
    if version is None:
        pushed = f"{directory.rstrip('/')}/pushed"
        advice = "push a version, then start the stream"
        if exists(f"{pushed}/CURRENT"):
            advice = f"that is a root of runs, which push to {pushed}: name this one"
        raise BeamfleetError(f"nothing was pushed to {directory} yet; {advice}")
    return version


def _watch(live: "weakref.ref[LiveModel]", stop: threading.Event, poll_s: float) -> None:
    while not stop.wait(poll_s):
        model = live()
        if model is None:
            return
        model.refresh()
        del model  # or this thread would keep it


def _named(example: Any, result: Any, path: str) -> PredictionResult:
    """The result with the version's folder in front of the handler's own name for its model."""
    if not isinstance(result, PredictionResult):
        return PredictionResult(example, result, path)
    own = result.model_id or ""
    name = path if not own or f"{own}/".startswith(f"{path}/") else f"{path} {own}"
    return PredictionResult(result.example, result.inference, name)
