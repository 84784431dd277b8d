"""Models of Keras 3 and SavedModels are stages without glue."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.ensemble.graph import Stage
from components.ensemble.record import Record
from components.ensemble.stage_handler import StageHandler
from components.ensemble.tensorflow_handler import TensorFlowHandler
from components.errors import BeamfleetError
from tests.components.ensemble.contract import check_stage, numbers


def make(outputs: str = "one") -> keras.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    y, z = keras.layers.Dense(3)(x), keras.layers.Dense(2)(x)
    made = {"one": y, "list": [y, z], "deep": {"y": y, "deep": {"z": z}}}
    return keras.Model(x, made[outputs])


@pytest.fixture
def saved(tmp_path):
    def save(outputs: str = "one") -> tuple[keras.Model, str]:
        model = make(outputs)
        model.save(tmp_path / "m.keras")
        return model, str(tmp_path / "m.keras")

    return save


def test_keras_on_arrays(saved):
    model, path = saved()
    bad = [np.zeros(3, np.float32), None, "four"]
    stage = Stage("y", TensorFlowHandler(path, max_batch_size=16), inputs="x")
    check_stage(stage, numbers(40), lambda x: model(x[None])[0], bad)


@pytest.mark.parametrize("inputs", ["x", {"x": "x"}])
def test_a_saved_model_by_its_signature(tmp_path, inputs):
    model, path = make(), str(tmp_path / "saved")
    model.export(path, verbose=False)
    stage = Stage("y", TensorFlowHandler(path, max_batch_size=16), inputs=inputs)
    exact = [x.astype(np.float64) for x in numbers(30)]  # as NumPy makes them
    values = exact if inputs == "x" else [{"x": x} for x in exact]

    def alone(value) -> dict:
        x = value if inputs == "x" else value["x"]
        return {"output_0": model(x[None])[0]}

    bad = [np.zeros(3, np.float32)] if inputs == "x" else [{"x": np.zeros(3, np.float32)}, {}]
    check_stage(stage, values, alone, bad)


def test_outputs_in_outputs_are_cut_into_rows(saved):
    model, path = saved("deep")
    stage = Stage("y", TensorFlowHandler(path, min_batch_size=8, max_batch_size=8), inputs="x")

    def alone(x: np.ndarray) -> dict:
        found = model(x[None])
        return {"y": found["y"][0], "deep": {"z": found["deep"]["z"][0]}}

    check_stage(stage, numbers(20), alone)


@pytest.mark.parametrize("size", [1, 2, 8])
def test_several_outputs_in_a_list_are_not_taken_for_rows(saved, size):
    _, path = saved("list")
    handler = TensorFlowHandler(path, min_batch_size=size, max_batch_size=size)
    dead = check_stage(Stage("y", handler, inputs="x"), [], lambda _: None, numbers(16))
    assert all("output is a list of 2: not one row" in r.failure.reason for r in dead)


class Hungry(TensorFlowHandler):
    """Has memory for two examples."""

    def run_inference(self, batch, model, inference_args=None):
        if len(batch) > 2:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return super().run_inference(batch, model, inference_args)


def test_out_of_memory_of_tensorflow_halves_the_batch(saved, caplog):
    model, path = saved()
    stage = StageHandler(Stage("y", Hungry(path), inputs="x"))
    records = [Record(str(n), {"x": x}) for n, x in enumerate(numbers(8))]
    found = stage.run_inference(records, stage.load_model())
    expected = model(np.stack(numbers(8)))
    assert np.allclose([r.values["y"] for r in found], expected, atol=1e-5)
    assert caplog.text.count("does not fit the memory") == 3


def test_what_cannot_be_found_is_named(tmp_path):
    with pytest.raises(BeamfleetError, match=r"m\.keras is neither a \.keras file nor the folder"):
        TensorFlowHandler(str(tmp_path / "m.keras")).load_model()
    make().export(str(tmp_path), verbose=False)
    handler = TensorFlowHandler(str(tmp_path), signature="predict")
    with pytest.raises(BeamfleetError, match="has no signature predict, but: serv"):
        handler.run_inference(numbers(1), handler.load_model())
