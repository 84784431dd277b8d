import operator

import pytest

from components.errors import BeamfleetError
from pipelines import steps
from pipelines.conditions import Comparison, in_force, parse
from pipelines.pipeline import Pipeline, from_csv

TRAIN = "tests.pipelines.functions.train_fn"


def trained(rows):
    read = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema().validate_examples()
    return read.train_per_entity(TRAIN, entity="shop", label="sales", task="regression")


def test_comparisons_are_joined_by_and():
    assert parse("examples.rows_train >= 1000 and anomalies.anomalies == 0") == (
        Comparison("examples", "rows_train", operator.ge, 1000),
        Comparison("anomalies", "anomalies", operator.eq, 0),
    )
    assert parse("pushed_model.reason != 'none'")[0].value == "none"
    assert parse("evaluation.auc > -0.5")[0].value == -0.5


@pytest.mark.parametrize(
    "condition",
    [
        "", "rows_train > 1", "examples.rows_train", "1 < examples.rows_train < 3",
        "examples.a > 1 or examples.b > 1", "examples.a > examples.b", "examples.a.b == 1",
        "__import__('os').system('true') == 0", "examples.a in (1, 2)", "examples.a == None",
        "examples.a == [1]", "examples.a == 1\nexamples.b == 1",
    ],
)  # fmt: skip
def test_whatever_else_stands_there_is_refused(rows, condition):
    with pytest.raises(BeamfleetError, match="condition"):
        trained(rows).when(condition)


def test_what_is_not_published_before_the_step_cannot_be_asked_for(rows):
    with pytest.raises(BeamfleetError, match=r"train_per_entity.*'blessing'.*examples.rows_train"):
        trained(rows).when("blessing.blessed == 1").check()
    with pytest.raises(BeamfleetError, match=r"push_to.*'infra_blessing'"):
        trained(rows).push_to().when("infra_blessing.p99_ms < 9").check()


@pytest.mark.parametrize("gate", ["evaluate", "infra_validate", "generate_statistics"])
def test_gates_have_no_condition(rows, gate):
    pipeline = Pipeline("shop").from_csv(rows).infer_schema()
    if gate != "generate_statistics":
        pipeline = trained(rows)
    with pytest.raises(BeamfleetError, match=f"{gate}.*only tune, train_per_entity"):
        getattr(pipeline, gate)().when("examples.rows_train > 1").check()


def test_a_step_has_one_condition(rows):
    with pytest.raises(BeamfleetError, match="has a condition already"):
        trained(rows).when("examples.rows_train > 1").when("examples.rows_eval > 1")
    with pytest.raises(BeamfleetError, match="behind the step"):
        Pipeline("shop").when("examples.rows_train > 1")


def test_what_reads_the_models_is_left_out_with_them(rows):
    recorded = trained(rows).evaluate(["mae"]).push_to().bulk_infer(from_csv(rows))._steps
    conditions = {steps.TrainPerEntity: "examples.rows_train > 9", steps.PushTo: "model.a == 1"}
    train, push = parse(conditions[steps.TrainPerEntity]), parse(conditions[steps.PushTo])
    assert in_force(steps.TrainPerEntity, conditions, recorded) == train
    assert in_force(steps.Evaluate, conditions, recorded) == train
    assert in_force(steps.PushTo, conditions, recorded) == (*push, *train)
    # The version that was pushed earlier predicts, whatever this run does.
    assert in_force(steps.BulkInfer, conditions, recorded) == ()
    del recorded[steps.PushTo]
    assert in_force(steps.BulkInfer, conditions, recorded) == train
