"""Out of memory: batches are halved and reported, and a budget is kept."""

import numpy as np
import pytest

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.memory import is_out_of_memory
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.ensemble.stage_handler import StageHandler
from components.errors import BeamfleetError
from tests.components.ensemble.contract import run
from tests.components.ensemble.handlers import Double


def records(values) -> list[Record]:
    return [Record(f"row {n}", {"x": x}) for n, x in enumerate(values)]


@pytest.mark.parametrize("limit", [1, 2, 3, 64])
def test_out_of_memory_is_counted_and_nothing_is_lost(limit, caplog):
    stage = StageHandler(Stage("y", Double(limit=limit), inputs="x"))
    found = stage.run_inference(records(range(13)), None)
    assert [r.values["y"] for r in found] == [2 * x for x in range(13)]
    tried = [int(r.getMessage().split()[5]) for r in caplog.records]
    assert all(size > limit for size in tried) and bool(tried) == (limit < 13)


class Heavy(Double):
    """Some examples never fit."""

    def run_inference(self, batch, model, inference_args=None):
        if sum(batch) > 20:
            raise MemoryError(f"no room for {sum(batch)}")
        return super().run_inference(batch, model)


def test_what_does_not_fit_alone_is_a_dead_letter():
    found = StageHandler(Stage("y", Heavy(), inputs="x")).run_inference(
        records([5, 30, 7, 8, 21, 1]), None
    )
    assert [r.values.get("y") for r in found] == [10, None, 14, 16, None, 2]
    assert found[1].failure.reason == "MemoryError: no room for 30"


class Tensorlike:
    """Is told when it is freed."""

    alive = 0

    def __init__(self) -> None:
        Tensorlike.alive += 1

    def __del__(self) -> None:
        Tensorlike.alive -= 1


class Leaking(Double):
    """Holds something while it works, as the layers of a net do, and fails with it."""

    def run_inference(self, batch, model, inference_args=None):
        assert Tensorlike.alive == 0, "the failed batch is still there"
        mine = [Tensorlike() for _ in batch]
        if len(batch) > 1:
            raise MemoryError(f"{len(mine)} do not fit")
        return super().run_inference(batch, model)


def test_the_failed_batch_is_freed_before_its_halves_are_tried():
    found = StageHandler(Stage("y", Leaking(), inputs="x")).run_inference(records(range(8)), None)
    assert [r.values.get("y") for r in found] == [2 * x for x in range(8)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate "
                      "memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("Failed to allocate memory for requested buffer of size 9"), True),
        (ValueError("the room was out of chairs"), False),
    ],
)  # fmt: skip
def test_errors_of_memory_are_known(error, expected):
    assert is_out_of_memory(error) is expected


def test_a_numpy_array_that_does_not_fit_is_an_error_of_memory():
    with pytest.raises(MemoryError) as caught:
        np.empty((1 << 62,), np.uint8)
    assert is_out_of_memory(caught.value)


class Huge(Double):
    """Cannot be loaded."""

    def load_model(self):
        raise MemoryError("80 GB wanted")


def test_a_model_beyond_the_budget_is_named():
    with pytest.raises(BeamfleetError, match="memory_mb must be more than 0"):
        Ensemble(Stage("y", Double(), inputs="x"), memory_mb=0)
    ensemble = Ensemble(Stage("big", Huge(), inputs="x"), memory_mb=1500)
    with pytest.raises(BeamfleetError, match=r"stage big: its model does not fit .* of 1500 MB"):
        StageHandler(ensemble.stages[0], ensemble.memory_mb).load_model()
    with pytest.raises(Exception, match=r"stage big: its model does not fit .* of 1500 MB"):
        run(RunEnsemble(ensemble), records([1]))
