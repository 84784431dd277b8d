"""An ensemble, as the server serves it."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

from components.ensemble.build import build_ensemble
from components.ensemble.bundle import Bundle
from components.ensemble.graph import Stage
from components.ensemble.record import Record
from components.ensemble.stage_handler import StageHandler
from components.errors import BeamfleetError
from components.imports import heavy_imports
from components.model_server import metrics
from components.model_server.ensemble_tensors import (
    VERSIONS,
    decoded,
    input_tensors,
    output_tensors,
    to_outputs,
    to_records,
)
from components.model_server.requests import Tensor, check_rows, check_time
from components.model_server.servable import Limits
from components.user_function import described

_BATCH_ROWS = 64


class ServableEnsemble:
    """Sends each row through the stages, which are all loaded before the first request.

    One request at a time: a stage's framework takes all cores for itself, its handler need not be
    safe in threads, and the pixels of many images at once would be too much memory.

    Raises:
      BeamfleetError: it is not whole.
    """

    threads = 1
    max_body_bytes = 32 * 1024 * 1024
    has_entities = False
    predicted = ""

    warning = ""

    def __init__(self, uri: str, cache_bytes: int = 0) -> None:
        """Opens a bundle; `cache_bytes` bounds nothing here, because all models stay loaded."""
        self.uri = uri
        self._bundle = Bundle(uri)
        self.inputs = self._bundle.inputs
        self.stages = tuple(stage.name for stage in self._bundle.stages)
        self._loaded: list[tuple[Stage, StageHandler, Any]] = []
        if VERSIONS in self.stages:
            raise BeamfleetError(
                f"{uri}: no stage can be served under the name {VERSIONS!r}, which is the output "
                "that names the models; give it another name"
            )

    @property
    def fingerprint(self) -> str:
        return self._bundle.fingerprint

    def keys(self, inputs: Sequence[Tensor], max_rows: int) -> list[str | None]:
        """Nothing: its rows have no entities."""
        return []

    def import_frameworks(self) -> None:
        """Builds the ensemble for what its code imports; `load` says what is wrong with it."""
        declared = self._bundle.declaration
        folders = {name: f"{self.uri}/models/{name}" for name in declared.models}
        with heavy_imports(), contextlib.suppress(BeamfleetError):
            build_ensemble(declared.ensemble_fn, folders, declared.hparams)

    def load(self) -> None:
        """Checks all files, and loads the models of all stages."""
        ensemble = self._bundle.ensemble()
        self._loaded = [self._load(stage, ensemble.memory_mb) for stage in ensemble.stages]

    def check(self, damaged: str) -> None:
        """Does nothing: `load` checks all, and no file is read after it."""

    def log_answers(self) -> None:
        """They read no features that a log could keep."""

    def input_tensors(self) -> list[dict[str, Any]]:
        return input_tensors(self.inputs)

    def output_tensors(self) -> list[dict[str, Any]]:
        return output_tensors(self.stages)

    def answer(
        self, inputs: Sequence[Tensor], outputs: Sequence[str], limits: Limits
    ) -> list[dict[str, Any]]:
        records = decoded(to_records(inputs, self.inputs, limits.max_rows), limits.until)
        _check(records)  # before the stages spend time on the others
        records = self.predict(records, limits.until)
        _check(records)
        metrics.ROWS.labels("false").inc(len(records))
        return to_outputs(records, outputs)

    def predict(self, records: list[Record], until: float = math.inf) -> list[Record]:
        """Gives the records with a column of each stage, or with a failure, in their order.

        Raises:
          RequestError: 504, it is later than `until`, by `time.monotonic`.
        """
        for stage, handler, model in self._loaded:
            arguments = dict(stage.inference_args) if stage.inference_args else None
            size = handler.batch_elements_kwargs().get("max_batch_size", _BATCH_ROWS)
            done: list[Record] = []
            for start in range(0, len(records), size):
                check_time(until)
                batch = records[start : start + size]
                done += handler.run_inference(batch, model, arguments)
            records = done
        return records

    def _load(self, stage: Stage, memory_mb: float | None) -> tuple[Stage, StageHandler, Any]:
        handler = StageHandler(stage, memory_mb)
        try:
            handler.set_environment_vars()
            return stage, handler, handler.load_model()
        except Exception as error:  # a user's handler may raise anything
            raise BeamfleetError(
                f"stage {stage.name!r} of {self.uri} cannot load its model: {described(error)}"
            ) from error


def _check(records: Sequence[Record]) -> None:
    """Refuses the whole request if a row failed, naming it and the stage."""
    failures = [record.failure for record in records]
    check_rows([f"{one.stage}: {one.reason}" if one else None for one in failures])
