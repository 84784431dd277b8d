"""What is refused of candidates and starts before anything runs."""

import pytest

from components.errors import BeamfleetError
from pipelines.pipeline import Pipeline

HERE = "tests.pipelines.test_training"


def preprocessing_fn(inputs):
    return inputs


def run_fn(fn_args):
    return None


def tuner_fn(fn_args):
    return None


def start(rows):
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    return pipeline.preprocess(f"{HERE}.preprocessing_fn")


TWO = {"wide": {"units": 64}, "deep": {}}


def test_candidates_that_compete(rows):
    start(rows).train(f"{HERE}.run_fn", label="sales", candidates=TWO).evaluate(["auc"]).check()


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        ({"wide": {}}, "candidates has 'wide' only: name two or more"),
        ({"wide": {}, "a b": {}}, "candidate 'a b': expected at most 31 letters"),
        ({"wide": {}, "deep": 3}, "candidate 'deep' is 3, expected hparams of its own"),
    ],
)
def test_nonsense_is_refused(rows, candidates, words):
    with pytest.raises(BeamfleetError, match=words):
        start(rows).train(f"{HERE}.run_fn", label="sales", candidates=candidates)


def test_something_has_to_choose(rows):
    with pytest.raises(BeamfleetError, match=r"nothing chooses among them: add .evaluate"):
        start(rows).train(f"{HERE}.run_fn", label="sales", candidates=TWO).check()


def test_a_tuner_has_no_start(rows):
    with pytest.raises(BeamfleetError, match=r"tune\(\) may find another architecture"):
        start(rows).tune(f"{HERE}.tuner_fn").train(
            f"{HERE}.run_fn", label="sales", warm_start=True
        ).check()


@pytest.mark.parametrize(
    ("task", "metrics"), [("regression", ["auc"]), ("classification", ["mae"])]
)
def test_metrics_are_of_the_task(rows, task, metrics):
    with pytest.raises(BeamfleetError, match=f"{metrics[0]}: not a {task} metric"):
        start(rows).train(f"{HERE}.run_fn", label="sales", task=task).evaluate(metrics).check()
