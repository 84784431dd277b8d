import time
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as reference

from components.entity_evaluator.config import CLASSIFICATION_METRICS, REGRESSION_METRICS
from components.entity_evaluator.metrics import (
    Classified,
    Groups,
    Regressed,
    all_failed,
    confusion_cells,
    constant,
    measure,
    merge,
)


def classified(label: np.ndarray, score: np.ndarray) -> Classified:
    """Two classes; the second one is positive and predicted above one half."""
    predicted = (score > 0.5).astype(np.int64)
    truth = np.where(label == 1, score, 1 - score)
    return Classified(label, predicted, truth, score, 2, 1)


def world(rows: int, entities: int) -> tuple[Classified, Groups]:
    random = np.random.default_rng(3)
    label = random.integers(0, 2, rows)
    score = np.clip(np.round(random.normal(0.3 + 0.4 * label, 0.25, rows), 1), 0.05, 0.95)
    return classified(label, score), Groups(random.integers(0, entities, rows), entities)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", lambda o: reference.accuracy_score(o.label, o.predicted)),
        ("f1", lambda o: reference.f1_score(o.label, o.predicted)),
        ("precision", lambda o: reference.precision_score(o.label, o.predicted)),
        ("recall", lambda o: reference.recall_score(o.label, o.predicted)),
        ("auc", lambda o: reference.roc_auc_score(o.label, o.score)),
        ("log_loss", lambda o: reference.log_loss(o.label, o.score)),
    ],
)
def test_each_group_has_the_value_of_scikit_learn(
    name: str, expected: Callable[[Classified], float]
) -> None:
    outcomes, groups = world(2000, 7)
    values = measure(outcomes, groups, [name])[name]
    for group in range(7):
        assert values[group] == pytest.approx(expected(outcomes.select(groups.code == group)))


def test_regression_metrics_have_the_value_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    label = random.normal(size=300)
    outcomes = Regressed(label, label + random.normal(size=300))
    values = {k: v[0] for k, v in measure(outcomes, Groups.single(300), REGRESSION_METRICS).items()}
    pair = (outcomes.label, outcomes.predicted)
    assert values["mse"] == pytest.approx(reference.mean_squared_error(*pair))
    assert values["rmse"] == pytest.approx(reference.root_mean_squared_error(*pair))
    assert values["mae"] == pytest.approx(reference.mean_absolute_error(*pair))
    assert values["r2"] == pytest.approx(reference.r2_score(*pair))


def test_means_over_classes_leave_out_what_is_no_class() -> None:
    label = np.array([0, 0, 1, 1, 2, 2, 3])  # 3: a label that no model knows
    predicted = np.array([0, 1, 1, 1, 2, 4, 0])  # 4: failed
    zeros = np.zeros(7)
    outcomes = Classified(label, predicted, zeros, zeros, 3, None)
    values = {
        k: v[0] for k, v in measure(outcomes, Groups.single(7), ["recall", "accuracy"]).items()
    }
    assert values["recall"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert values["accuracy"] == pytest.approx(4 / 7)


def test_undefined_is_not_a_number_and_never_zero() -> None:
    outcomes = classified(np.array([0, 0]), np.array([0.1, 0.2]))
    values = measure(outcomes, Groups(np.array([0, 0]), 2), CLASSIFICATION_METRICS)
    assert np.isnan([values[name][0] for name in ("auc", "precision", "recall", "f1")]).all()
    assert values["accuracy"][0] == 1
    assert all(np.isnan(values[name][1]) for name in CLASSIFICATION_METRICS), "no rows"
    same = Regressed(np.array([2.0, 2.0]), np.array([1.0, 3.0]))
    assert np.isnan(measure(same, Groups.single(2), ["r2"])["r2"][0])


def test_one_row() -> None:
    outcomes = classified(np.array([1]), np.array([0.9]))
    values = measure(outcomes, Groups.single(1), ["accuracy", "auc", "recall"])
    assert values["accuracy"][0] == 1
    assert values["recall"][0] == 1
    assert np.isnan(values["auc"][0])


def test_no_rows_at_all() -> None:
    nothing = np.array([], dtype=np.int64)
    outcomes = classified(nothing, nothing.astype(float))
    assert np.isnan(list(measure(outcomes, Groups(nothing, 0), ["auc"]).values())).all()


def test_constant_is_the_majority_class_of_each_group() -> None:
    outcomes = classified(np.array([0, 0, 1, 1]), np.zeros(4))
    groups = Groups(np.array([0, 0, 0, 1]), 2)
    values = measure(constant(outcomes, groups), groups, ["accuracy", "log_loss"])
    assert values["accuracy"].tolist() == pytest.approx([2 / 3, 1])
    entropy = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    assert values["log_loss"][0] == pytest.approx(entropy)


def test_failed_rows_are_errors_of_a_classifier_and_left_out_of_a_regression() -> None:
    label = np.array([0, 1, 1])
    good = classified(label, np.array([0.1, 0.9, 0.9]))
    half = merge(np.array([0, 0, 1]), [good, all_failed(good)])
    assert half.failed.tolist() == [False, False, True]
    values = measure(half, Groups.single(3), ["accuracy", "auc", "recall"])
    assert values["accuracy"][0] == pytest.approx(2 / 3)
    assert values["auc"][0] == pytest.approx(0.5)
    number = Regressed(np.array([1.0, 2.0]), np.array([2.0, np.nan]))
    assert measure(number, Groups.single(2), ["mse"])["mse"][0] == 1


def test_confusion_cells_count_every_row_once() -> None:
    outcomes, groups = world(500, 4)
    *_, count = confusion_cells(outcomes, groups)
    assert count.sum() == 500


def test_a_million_rows_of_ten_thousand_entities_take_seconds() -> None:
    outcomes, groups = world(1_000_000, 10_000)
    start = time.process_time()
    measure(outcomes, groups, CLASSIFICATION_METRICS)
    assert time.process_time() - start < 5
