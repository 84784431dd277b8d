"""What Beam's PyTorch handler makes of CLIP's output: measured, and mended in a stage."""

import pytest
import torch
from apache_beam.ml.inference.base import RunInference
from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerKeyedTensor

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from tests.components.ensemble.contract import check_equal, check_stage, run
from tests.components.ensemble.tiny_clip import INPUTS, Clip, clip_alone, pairs, tiny_clip


@pytest.fixture
def clip_arguments(tmp_path):
    torch.save(tiny_clip().state_dict(), tmp_path / "clip.pt")
    return {"state_dict_path": str(tmp_path / "clip.pt"), "model_class": Clip}


def test_stock_run_inference_loses_rows_of_clip(clip_arguments):
    handler = PytorchModelHandlerKeyedTensor(**clip_arguments, max_batch_size=64, min_batch_size=64)
    stock = run(RunInference(handler), pairs(64))
    assert len(stock) == 2  # one for each key of a nested output
    assert stock[1].inference["text_model_output"] == "pooler_output"


@pytest.mark.parametrize("size", [64, 7, 2, 1])
def test_every_row_of_clip_is_its_own(clip_arguments, size):
    handler = PytorchModelHandlerKeyedTensor(
        **clip_arguments, max_batch_size=size, min_batch_size=size
    )
    stage = Stage("y", handler, inputs=INPUTS)
    records = [Record(str(n), pair) for n, pair in enumerate(pairs(64))]
    results = run(RunEnsemble(Ensemble(stage)), records)
    assert sorted(int(r.key) for r in results) == list(range(64))
    for record in results:
        found, expected = dict(record.values["y"]), clip_alone(pairs(64)[int(record.key)])
        for name in ("logits_per_image", "logits_per_text"):
            # As CLIP defines it, a row of these has the scores with every partner in the batch;
            # the pair's own score is one of them.
            row, own = found.pop(name), expected.pop(name)
            assert len(row) <= size and any(torch.isclose(row, own, atol=1e-4))
        check_equal(found, expected, record.key)


@pytest.mark.parametrize("size", [64, 4, 1])
@pytest.mark.parametrize("arguments", [{"return_dict": False}, {"output_hidden_states": True}])
def test_outputs_without_rows_are_dead_letters(clip_arguments, arguments, size):
    handler = PytorchModelHandlerKeyedTensor(
        **clip_arguments, max_batch_size=size, min_batch_size=size
    )
    stage = Stage("y", handler, inputs=INPUTS, inference_args=arguments)
    dead = check_stage(stage, [], lambda _: None, pairs(64))
    assert len(dead) == 64 and all("is a tuple of" in r.failure.reason for r in dead)
