"""Runs any model handler on records, and accounts for every one of them."""

import logging
import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import PredictionResult

from components.ensemble.around import HandlerAround
from components.ensemble.graph import Stage
from components.ensemble.memory import free_memory, is_out_of_memory, limit_gpu_memory
from components.ensemble.predict import predict
from components.ensemble.record import Record
from components.ensemble.rows import RowsError
from components.errors import BeamfleetError

LOG = logging.getLogger(__name__)
_REASON_CHARACTERS = 500


class StageHandler(HandlerAround):
    """A stage's handler behind records: batch in, as many records out, in the same order.

    A batch that fails is halved until the bad records are alone; they become dead letters. A batch
    whose results cannot be told apart is done record by record, because with halves the numbers may
    agree by chance. A batch that does not fit the memory is halved, counted and logged.
    """

    def __init__(
        self, stage: Stage, memory_mb: float | None = None, *, is_shadow: bool = False
    ) -> None:
        """Takes the stage, the budget of its ensemble, and whether nobody waits for its results:
        then records fail where the model cannot be loaded, and not the pipeline.
        """
        super().__init__(stage.handler)
        self._stage, self._memory_mb, self._is_shadow = stage, memory_mb, is_shadow

    def load_model(self) -> Any:
        """Loads the handler's model.

        Raises:
          BeamfleetError: it does not fit the memory, or the ensemble's share of it.
          Exception: whatever else the handler raises; of a shadow nothing is raised.
        """
        try:
            return self._load()
        except Exception as error:
            if not self._is_shadow:
                raise
            LOG.exception("stage %s of a shadow cannot load its model", self._stage.name)
            return _Unloadable(f"its model cannot be loaded: {_reason(error)}")

    def _load(self) -> Any:
        if self._memory_mb is not None:
            limit_gpu_memory(self._memory_mb)
        try:
            return _referable(super().load_model())
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            budget = f" of {self._memory_mb:g} MB" if self._memory_mb is not None else ""
            raise BeamfleetError(
                f"stage {self._stage.name}: its model does not fit the memory{budget} beside those "
                f"of the other stages; give it more, or take smaller models ({error})"
            ) from error

    def run_inference(
        self,
        batch: Sequence[Record],
        model: Any,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[Record]:
        """Gives the records of the batch with the stage's column, or its failure."""
        if isinstance(model, _Unloadable):
            return [r if r.failure else r.failed(self._stage.name, model.reason) for r in batch]
        batch = [self._with_room(record) for record in batch]
        good = [record for record in batch if record.failure is None]
        done = iter(list(self._predicted(good, model, inference_args)))
        return [record if record.failure else next(done) for record in batch]

    def get_num_bytes(self, batch: Sequence[Record]) -> int:
        """About what the inputs take; not the handler's own count, which expects what its
        preprocessing makes of them and fails on records that it never sees.
        """
        inputs = (r.values.get(name) for r in batch for name in self._stage.columns)
        return sum(int(getattr(value, "nbytes", sys.getsizeof(value))) for value in inputs)

    def get_metrics_namespace(self) -> str:
        return f"beamfleet_ensemble_{self._stage.name}"

    def example_of(self, element: Record) -> Any:
        return self._stage.example(element.values)

    def _predicted(
        self, batch: Sequence[Record], model: Any, arguments: Mapping[str, Any] | None
    ) -> Iterator[Record]:
        if not batch:
            return
        try:
            results = self._results(batch, model, arguments)
        except Exception as error:
            reason, apart = _reason(error), isinstance(error, RowsError)
            no_memory = is_out_of_memory(error)
        else:
            yield from map(self._with_result, batch, results)
            return
        # Outside of `except`: the traceback would keep the failed batch's tensors alive.
        if no_memory:
            self._after_out_of_memory(len(batch))
        if len(batch) == 1:
            yield batch[0].failed(self._stage.name, reason)
            return
        size = 1 if apart else (len(batch) + 1) // 2
        for start in range(0, len(batch), size):
            yield from self._predicted(batch[start : start + size], model, arguments)

    def _with_room(self, record: Record) -> Record:
        """Fails a record that would lose a column of its own."""
        name = self._stage.name
        if record.failure is not None or name not in record.values:
            return record
        return record.failed(name, f"the record has a column {name!r} already; rename the stage")

    def _results(
        self, batch: Sequence[Record], model: Any, arguments: Mapping[str, Any] | None
    ) -> list[Any]:
        model = model.model if isinstance(model, _Held) else model
        return predict(self._inner, [self.example_of(one) for one in batch], model, arguments)

    def _with_result(self, record: Record, result: Any) -> Record:
        if not isinstance(result, PredictionResult):
            return record.with_prediction(self._stage.name, result, "")
        return record.with_prediction(self._stage.name, result.inference, result.model_id or "")

    def _after_out_of_memory(self, size: int) -> None:
        LOG.warning("stage %s: a batch of %d does not fit the memory", self._stage.name, size)
        Metrics.counter(self.get_metrics_namespace(), "out_of_memory").inc()
        free_memory()


@dataclass
class _Unloadable:
    """Stands for the model of a shadow that cannot be loaded."""

    reason: str


@dataclass
class _Held:
    """A model to which no weak reference can be kept: Beam keeps one to whatever is loaded."""

    model: Any


def _referable(model: Any) -> Any:
    """The model, held where it is a dict, a tuple, None and the like."""
    try:
        weakref.ref(model)
    except TypeError:
        return _Held(model)
    return model


def _reason(error: Exception) -> str:
    said = isinstance(error, BeamfleetError)
    text = str(error) if said else f"{type(error).__name__}: {error}"
    return text if len(text) <= _REASON_CHARACTERS else f"{text[: _REASON_CHARACTERS - 1]}…"
