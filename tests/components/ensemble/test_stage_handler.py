"""What handlers rely on Beam for, they find within a stage as well."""

import os
import pickle

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.ml.inference.base import KeyedModelHandler, KeyModelMapping

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.ensemble.stage_handler import StageHandler
from components.errors import BeamfleetError
from tests.components.ensemble.contract import run
from tests.components.ensemble.handlers import COLLECTED, Double, collect

BATCHES: list[list[int]] = []


class Seen(Double):
    """Notes its batches, and what it was loaded with."""

    def load_model(self):
        self.loaded_with = os.environ.get("DOUBLE_THREADS")

    def run_inference(self, batch, model, inference_args=None):
        BATCHES.append(list(batch))
        return super().run_inference(batch, model, inference_args)


def records(values) -> list[Record]:
    return [Record(f"row {n}", {"x": x}) for n, x in enumerate(values)]


def batches_of(handler, values) -> list[list]:
    BATCHES.clear()
    results = run(RunEnsemble(Ensemble(Stage("y", handler, inputs="x"))), records(values))
    assert len(results) == len(values)
    return BATCHES


def test_batches_are_weighed_by_the_examples_and_not_by_the_records():
    handler = Seen(element_size_fn=abs, min_batch_size=10, max_batch_size=10)
    found = batches_of(handler, [6, 3, -4, 9, 1, 1, 10, 2])
    assert all(sum(map(abs, batch)) <= 10 for batch in found) and len(found) >= 4


def test_batches_are_weighed_after_the_functions_before_the_handler():
    handler = Seen(element_size_fn=abs, min_batch_size=10, max_batch_size=10)
    found = batches_of(handler.with_preprocess_fn(int), ["6", "3", "what", "-4", "9"])
    assert sorted(x for batch in found for x in batch) == [-4, 3, 6, 9]
    assert all(sum(map(abs, batch)) <= 10 for batch in found)


def test_lengths_are_those_of_examples():
    handler = Seen(max_batch_duration_secs=60, batch_length_fn=abs, batch_bucket_boundaries=[5])
    options = pickle.loads(
        pickle.dumps(StageHandler(Stage("y", handler, "x")))
    ).batch_elements_kwargs()
    assert options["bucket_boundaries"] == [5]
    assert [options["length_fn"](record) for record in records([3, -7, None])] == [3, 7, 0]


def test_the_environment_is_set_before_the_model_is_loaded(monkeypatch):
    monkeypatch.delenv("DOUBLE_THREADS", raising=False)
    handler = Seen(env_vars={"DOUBLE_THREADS": "3"})
    stage = StageHandler(Stage("y", handler.with_preprocess_fn(int), inputs="x"))
    stage.set_environment_vars()
    stage.load_model()
    assert handler.loaded_with == "3"


class Answers(Double):
    """Has an opinion on everything."""

    def get_resource_hints(self):
        return {"min_ram": "4GB"}

    def override_metrics(self, metrics_namespace=""):
        self.namespace = metrics_namespace
        return True

    def validate_inference_args(self, inference_args):
        if inference_args:
            raise ValueError("no arguments, please")

    def update_model_path(self, model_path=None):
        self.path = model_path


def test_beam_is_answered_by_the_handler_within():
    inner = Answers(large_model=True, model_copies=3, max_batch_size=7)
    stage = StageHandler(Stage("y", inner, inputs="x"))
    assert stage.share_model_across_processes() and stage.model_copies() == 3
    assert stage.should_garbage_collect_on_timeout()
    assert stage.get_resource_hints() == {"min_ram": "4GB"}
    assert stage.batch_elements_kwargs() == {"max_batch_size": 7}
    assert stage.override_metrics("mine") and inner.namespace == "mine"
    stage.update_model_path("new")
    assert inner.path == "new"
    ensemble = Ensemble(Stage("y", inner, inputs="x", inference_args={"a": 1}))
    with pytest.raises(ValueError, match="no arguments, please"):
        run(RunEnsemble(ensemble), records([1]))


class Counting(Double):
    """Has metrics of its own."""

    def run_inference(self, batch, model, inference_args=None):
        Metrics.counter("mine", "seen").inc(len(batch))
        if inference_args:
            return [inference_args["factor"] * x for x in batch]
        return super().run_inference(batch, model)


def test_metrics_and_arguments_of_stages():
    pipeline = beam.Pipeline(runner="FnApiRunner")
    stages = [
        Stage("y", Counting(), inputs="x", inference_args={"factor": 5}),
        Stage("z", Double(limit=3, min_batch_size=10, max_batch_size=10), inputs="y"),
    ]
    COLLECTED.clear()
    made = pipeline | beam.Create(records(range(10))) | RunEnsemble(Ensemble(*stages))
    _ = made | beam.Map(collect)
    result = pipeline.run()
    result.wait_until_finish()
    assert sorted(r.values["z"] for r in COLLECTED) == [10 * x for x in range(10)]
    counters = {
        (c.key.metric.namespace, c.key.metric.name): c.committed
        for c in result.metrics().query(MetricsFilter())["counters"]
    }
    assert counters["mine", "seen"] == 10
    assert counters["beamfleet_ensemble_y", "num_inferences"] == 10
    assert counters["beamfleet_ensemble_z", "out_of_memory"] == 3  # of 10, 5 and 5


def test_inputs_by_name():
    stage = Stage("y", Double(), inputs={"pixels": "image", "more": "image"})
    assert stage.columns == ("image", "image") and Ensemble(stage).inputs == ("image",)
    assert stage.example({"image": 3, "other": 4}) == {"pixels": 3, "more": 3}
    with pytest.raises(BeamfleetError, match="the record has no image"):
        stage.example({"other": 4})


def test_a_keyed_handler_is_refused_because_it_changes_the_order():
    keyed = KeyedModelHandler(
        [KeyModelMapping(["a"], Double()), KeyModelMapping(["b"], Double(fail="raise"))]
    )
    with pytest.raises(BeamfleetError, match="gives its results grouped by model"):
        Ensemble(Stage("y", keyed, inputs=("key", "x")))
    around = KeyedModelHandler(Double()).with_postprocess_fn(str)
    with pytest.raises(BeamfleetError, match="give the handler within it"):
        Ensemble(Stage("y", around, inputs=("key", "x")))


class Chatty(Double):
    """Has much to say of what goes wrong."""

    def run_inference(self, batch, model, inference_args=None):
        raise ValueError("no " * 1_000)


def test_a_reason_says_that_it_was_cut():
    [record] = run(RunEnsemble(Ensemble(Stage("y", Chatty(), inputs="x"))), records([1]))
    assert len(record.failure.reason) == 500 and record.failure.reason.endswith("…")
