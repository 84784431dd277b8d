"""Ensembles on Beam: every record comes out, once, with its own predictions."""

import math
from collections import Counter

import apache_beam as beam
import pytest

from components.ensemble.ab_test import ABTest
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Failure, Record
from components.ensemble.run import RunABTest, RunEnsemble
from components.ensemble.stage_handler import StageHandler
from components.errors import BeamfleetError
from tests.components.ensemble.handlers import COLLECTED, Double, Language, Sentiment, collect


def run(transform: beam.PTransform, records: list[Record]) -> list[Record]:
    COLLECTED.clear()
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(records) | transform | "Collect" >> beam.Map(collect)
    return list(COLLECTED)


def numbers(count: int) -> list[Record]:
    return [Record(f"row {x}", {"x": x}) for x in range(count)]


def test_an_ensemble_on_text():
    texts = ["the film is good", "der Film ist gut", "le film est bon", "the end is bad", "hm"]
    language = Stage("language", Language(), inputs="text")
    mood = Stage("mood", Sentiment(), inputs=("text", "language"))
    results = run(RunEnsemble(Ensemble(language, mood)), [Record(t, {"text": t}) for t in texts])
    moods = {r.key: (r.values["language"], r.values["mood"]) for r in results}
    assert moods == dict(
        zip(texts, [("en", 1), ("de", 1), ("fr", 1), ("en", -1), ("unknown", 0)], strict=True)
    )
    assert results[0].versions == {"language": "language-1"}


def test_branches_meet_and_duplicate_keys_are_safe():
    ensemble = Ensemble(
        Stage("a", Double(), inputs="x"),
        Stage("b", Double(), inputs="x"),
        Stage("c", Sum(), inputs=("a", "b")),
    )
    assert ensemble.inputs == ("x",)
    records = [Record("same key", {"x": x}) for x in (1, 2, 2, 3)]
    results = run(RunEnsemble(ensemble), records)
    assert sorted((r.values["x"], r.values["c"]) for r in results) == [
        (1, 4), (2, 8), (2, 8), (3, 12),
    ]  # fmt: skip


@pytest.mark.parametrize("fail", ["raise", "short", "none"])
def test_count_in_is_count_out_plus_dead_letters(fail):
    bad = Stage("twice", Double(fail, min_batch_size=16, max_batch_size=16), inputs="x")
    after = Stage("again", Double(), inputs="twice")
    results = run(RunEnsemble(Ensemble(bad, after)), numbers(100))
    assert sorted(r.key for r in results) == sorted(r.key for r in numbers(100))
    dead = {r.values["x"]: r.failure for r in results if r.failure}
    expected = {"raise": {x for x in range(100) if x % 10 == 3}, "short": set()}
    assert set(dead) == expected.get(fail, set(range(100)))
    reason = {"raise": "ValueError: a three"}.get(
        fail, "the handler gave 0 results for 1 example(s)"
    )
    assert set(dead.values()) <= {Failure("twice", reason)}
    assert all(r.values["again"] == 4 * r.values["x"] for r in results if not r.failure)


def test_a_record_without_the_input_is_a_dead_letter():
    results = run(RunEnsemble(Ensemble(Stage("a", Double(), "x"))), [Record("k", {"y": 1})])
    assert results[0].failure == Failure("a", "the record has no x")


def test_out_of_memory_halves_the_batch_and_goes_on(caplog):
    handler = StageHandler(Stage("a", Double(limit=3), "x"))
    results = handler.run_inference(numbers(10), handler.load_model())
    assert [r.values["a"] for r in results] == [2 * x for x in range(10)]
    assert "a batch of 10 does not fit" in caplog.text and "of 5" in caplog.text


def test_the_functions_around_a_handler_are_not_forgotten():
    handler = Double().with_preprocess_fn(int).with_postprocess_fn(str)
    stage = StageHandler(Stage("a", handler, "x"))
    [good, bad] = stage.run_inference([Record("1", {"x": "7"}), Record("2", {"x": "q"})], None)
    assert good.values["a"] == "14"
    assert bad.failure is not None and "invalid literal" in bad.failure.reason


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "at least one stage"),
        ((Stage("a", Double(), "b"), Stage("b", Double(), "x")), "'a' reads b, which comes later"),
        ((Stage("a", Double(), "x"), Stage("a", Double(), "x")), "name of another"),
        ((Stage("x", Double(), "x"),), "name of another stage or of a column"),
        ((Stage("a", len, "x"),), "expected a ModelHandler"),
        ((Stage("a", Double().with_no_batching(), "x"),), "with_no_batching"),
        ((Stage("a", Double(), ()),), "needs a name and at least one input"),
    ],
)
def test_a_graph_that_cannot_run_is_refused(stages, message):
    with pytest.raises(BeamfleetError, match=message):
        Ensemble(*stages)


def two_variants(**options) -> ABTest:
    once = Ensemble(Stage("y", Double(), "x"))
    twice = Ensemble(Stage("z", Double(), "x"), Stage("y", Double(), "z"))
    return ABTest({"a": once, "b": twice}, by="x", **options)


def test_a_split_is_sticky_and_keeps_its_shares():
    test = two_variants(split={"a": 3, "b": 1})
    results = run(RunABTest(test), numbers(2000))
    again = {r.key: r.variant for r in run(RunABTest(test), numbers(2000))}
    assert {r.key: r.variant for r in results} == again and len(results) == 2000
    assert all(r.values["y"] == r.values["x"] * {"a": 2, "b": 4}[r.variant] for r in results)
    share = Counter(again.values())["a"] / 2000
    assert abs(share - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 2000)


def test_a_shadow_sees_every_record_and_serves_none():
    results = run(RunABTest(two_variants(split={"a": 1}, shadow=("b",))), numbers(20))
    assert Counter(r.variant for r in results) == {"a": 20, "b": 20}


@pytest.mark.parametrize("values", [{"z": 1}, {"x": None}])
def test_a_record_without_a_value_to_split_by_is_a_dead_letter(values):
    [result] = run(RunABTest(two_variants(split={"a": 1, "b": 1})), [Record("k", values)])
    assert result.failure == Failure("split", "the record has no 'x' to split by")


def test_what_failed_before_the_split_keeps_its_reason():
    dead = Record("k", {}).failed("read", "is no image")
    [result] = run(RunABTest(two_variants(split={"a": 1, "b": 1})), [dead])
    assert result.failure == Failure("read", "is no image")


class Unloadable(Double):
    def load_model(self):
        raise ValueError("the weights are gone")


def test_a_shadow_that_cannot_be_loaded_fails_alone():
    once = Ensemble(Stage("y", Double(), "x"))
    shadow = Ensemble(Stage("y", Unloadable(), "x"), Stage("z", Double(), "y"))
    test = ABTest({"a": once, "next": shadow}, {"a": 1}, by="x", shadow=("next",))
    results = run(RunABTest(test), numbers(5))
    assert Counter((r.variant, r.failure is None) for r in results) == {
        ("a", True): 5,
        ("next", False): 5,
    }
    reason = "its model cannot be loaded: ValueError: the weights are gone"
    assert {r.failure for r in results if r.failure} == {Failure("y", reason)}
    with pytest.raises(Exception, match="the weights are gone"):
        run(RunEnsemble(shadow), numbers(1))


def test_no_column_of_a_record_is_replaced():
    records = [Record("k", {"x": 1, "y": "mine"}), Record("l", {"x": 2})]
    kept, done = run(RunEnsemble(Ensemble(Stage("y", Double(), "x"))), records)
    assert kept.values == {"x": 1, "y": "mine"}
    assert kept.failure == Failure("y", "the record has a column 'y' already; rename the stage")
    assert done.values["y"] == 4


class Odd(Double):
    """Gives what has the right length by chance."""

    def __init__(self, given):
        super().__init__()
        self.given = given

    def run_inference(self, batch, model, inference_args=None):
        return self.given


@pytest.mark.parametrize("given", [{"a": 1}, {7}, "a", b"a"])
def test_what_has_no_order_is_no_list_of_results(given):
    [result] = run(RunEnsemble(Ensemble(Stage("y", Odd(given), "x"))), numbers(1))
    assert f"the handler gave a {type(given).__name__}" in result.failure.reason


@pytest.mark.parametrize(
    "options",
    [
        {"split": {"a": 1}},
        {"split": {"a": 1, "b": 0}},
        {"split": {"a": 1, "b": math.nan}},
        {"split": {"a": 1, "b": math.inf}},
        {"split": {"a": 1e308, "b": 1e308}},
        {"split": {"a": 1, "b": "1"}},
        {"split": {"a": 1, "c": 1}},
        {"split": {}},
        {"split": {"a": 1}, "shadow": ("b", "b")},
    ],
)
def test_shares_that_make_no_sense_are_refused(options):
    with pytest.raises(BeamfleetError, match="share"):
        two_variants(**options)


class Sum(Double):
    """Adds its inputs."""

    def run_inference(self, batch, model, inference_args=None):
        return [sum(example) for example in batch]
