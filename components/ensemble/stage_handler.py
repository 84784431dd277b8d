"""Runs any model handler on records, and accounts for every one of them."""

import gc
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.ensemble.graph import Stage
from components.ensemble.record import Record

LOG = logging.getLogger(__name__)
_REASON_CHARACTERS = 500


class StageHandler(ModelHandler[Record, Record, Any]):
    """A stage's handler behind records: batch in, as many records out, in the same order.

    A batch that fails is halved until the bad records are alone; they become dead letters. So does
    every record of a batch for which the handler gives more or fewer results than examples, once it
    is alone: which result belongs to which example is nobody's guess. A batch that does not fit the
    memory is halved likewise, and is counted and logged.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self._handler = stage.handler
        self._env_vars = getattr(stage.handler, "_env_vars", {})

    def load_model(self) -> Any:
        return self._handler.load_model()

    def run_inference(
        self,
        batch: Sequence[Record],
        model: Any,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[Record]:
        """Gives the records of the batch with the stage's column, or its failure."""
        good = [record for record in batch if record.failure is None]
        done = iter(list(self._predicted(good, model, inference_args)))
        return [record if record.failure else next(done) for record in batch]

    def get_num_bytes(self, batch: Sequence[Record]) -> int:
        """About what the inputs take; not the handler's own count, which expects what its
        preprocessing makes of them and fails on records that it never sees.
        """
        inputs = (r.values.get(name) for r in batch for name in self._stage.columns)
        return sum(int(getattr(value, "nbytes", sys.getsizeof(value))) for value in inputs)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return dict(self._handler.batch_elements_kwargs())

    def get_metrics_namespace(self) -> str:
        return f"beamfleet_ensemble_{self._stage.name}"

    def get_resource_hints(self) -> dict[str, Any]:
        return dict(self._handler.get_resource_hints())

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        self._handler.validate_inference_args(inference_args)

    def update_model_path(self, model_path: str | None = None) -> None:
        self._handler.update_model_path(model_path)

    def share_model_across_processes(self) -> bool:
        return bool(self._handler.share_model_across_processes())

    def model_copies(self) -> int:
        return int(self._handler.model_copies())

    def _predicted(
        self, batch: Sequence[Record], model: Any, arguments: Mapping[str, Any] | None
    ) -> Iterator[Record]:
        if not batch:
            return
        reason = ""
        try:
            results = self._results(batch, model, arguments)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:_REASON_CHARACTERS]
            if is_out_of_memory(error):
                self._say_out_of_memory(len(batch))
        if not reason:
            if len(results) == len(batch):
                yield from map(self._with_result, batch, results)
                return
            reason = f"the handler gave {len(results)} results for 1 example"
        # Outside of `except`: the traceback would keep the failed batch's tensors alive.
        if len(batch) == 1:
            yield batch[0].failed(self._stage.name, reason)
            return
        middle = len(batch) // 2
        yield from self._predicted(batch[:middle], model, arguments)
        yield from self._predicted(batch[middle:], model, arguments)

    def _results(
        self, batch: Sequence[Record], model: Any, arguments: Mapping[str, Any] | None
    ) -> list[Any]:
        # RunInference looks for such functions on the handler that it knows, which is this one.
        examples = self._examples(batch)
        for function in self._handler.get_preprocess_fns():
            examples = [function(example) for example in examples]
        results = list(self._handler.run_inference(examples, model, arguments))
        for function in self._handler.get_postprocess_fns():
            results = [function(result) for result in results]
        return results

    def _with_result(self, record: Record, result: Any) -> Record:
        if not isinstance(result, PredictionResult):
            return record.with_prediction(self._stage.name, result, "")
        return record.with_prediction(self._stage.name, result.inference, result.model_id or "")

    def _examples(self, batch: Sequence[Record]) -> list[Any]:
        return [self._stage.example(record.values) for record in batch]

    def _say_out_of_memory(self, size: int) -> None:
        LOG.warning("stage %s: a batch of %d does not fit the memory", self._stage.name, size)
        Metrics.counter(self.get_metrics_namespace(), "out_of_memory").inc()
        gc.collect()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help; knows torch's error without importing torch."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
