"""Intervals cover what they promise, agree with known figures, and never feign certainty."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from components.entity_evaluator.intervals import intervals
from components.entity_evaluator.metrics import (
    Classified,
    Groups,
    Regressed,
    measure,
)

CLASSES = ("accuracy", "precision", "recall", "f1", "auc", "log_loss", "calibration")
WORLDS, ROWS = 400, 80


def classified(random: np.random.Generator, rows: int) -> Classified:
    """Scores in tenths, so that many are tied; labels come true with another probability."""
    score = np.round(random.beta(2, 3, rows), 1)
    label = (random.random(rows) < 0.1 + 0.7 * score).astype(np.int64)
    predicted = (score > 0.5).astype(np.int64)
    truth = np.where(label == 1, score, 1 - score)
    return Classified(label, predicted, truth, score, classes=2, positive=1)


def regressed(random: np.random.Generator, rows: int) -> Regressed:
    label = random.gamma(4, 2, rows)
    return Regressed(label, label + random.normal(0.3, 2, rows))


@pytest.mark.parametrize(
    ("make", "metrics"),
    [(classified, CLASSES), (regressed, ("mse", "rmse", "mae", "r2", "calibration"))],
)
def test_ninety_of_a_hundred_intervals_hold_the_true_value(make, metrics):
    random = np.random.default_rng(1)
    truth = measure(make(random, 1_000_000), Groups.single(1_000_000), metrics)
    groups = Groups(np.repeat(np.arange(WORLDS), ROWS), WORLDS)
    found = intervals(make(random, WORLDS * ROWS), groups, metrics, 0.9)
    for metric in metrics:
        low, high = found[metric]
        covered = np.mean((low <= truth[metric][0]) & (truth[metric][0] <= high))
        # Of 400: three standard errors are 0.045. Heavy tails cost mse and r2 a little more.
        least = 0.8 if metric in ("mse", "rmse", "r2") else 0.855
        assert least < covered < 0.945, (metric, covered)


def test_delong_is_that_of_a_direct_computation():
    random = np.random.default_rng(2)
    outcomes = classified(random, 150)
    low, high = intervals(outcomes, Groups.single(150), ["auc"], 0.95)["auc"]
    positive, negative = (outcomes.score[outcomes.label == side] for side in (1, 0))
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    auc = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / len(positive)
    variance += wins.mean(axis=0).var(ddof=1) / len(negative)
    reach = 1.959964 * math.sqrt(variance) / (auc * (1 - auc))
    ends = [1 / (1 + math.exp(-(math.log(auc / (1 - auc)) + side * reach))) for side in (-1, 1)]
    assert [low[0], high[0]] == pytest.approx(ends, abs=1e-6)


def test_groups_are_measured_as_if_alone():
    random = np.random.default_rng(3)
    outcomes = classified(random, 300)
    code = np.arange(300) % 3
    together = intervals(outcomes, Groups(code, 3), CLASSES, 0.95)
    for group in range(3):
        own = outcomes.select(code == group)
        alone = intervals(own, Groups.single(100), CLASSES, 0.95)
        for metric in CLASSES:
            found = [ends[group] for ends in together[metric]]
            assert found == pytest.approx([ends[0] for ends in alone[metric]]), metric


def test_a_perfect_model_on_few_rows_is_not_certain():
    label = np.array([0, 1] * 10)
    outcomes = Classified(label, label, np.ones(20), label.astype(float), 2, 1)
    found = intervals(outcomes, Groups.single(20), CLASSES, 0.95)
    expected = binomtest(20, 20).proportion_ci(0.95, "wilson").low
    assert found["accuracy"][0][0] == pytest.approx(expected)
    assert found["auc"][0][0] == pytest.approx(binomtest(10, 10).proportion_ci(0.95, "wilson").low)
    assert 0.5 < found["f1"][0][0] < 0.9
    assert all(found[metric][1][0] == pytest.approx(1) for metric in ("accuracy", "auc", "f1"))


def test_what_is_undefined_has_no_interval():
    outcomes = Classified(np.ones(5, int), np.ones(5, int), np.ones(5), np.ones(5), 2, 1)
    empty = Groups(np.zeros(5, int), 2)
    found = intervals(outcomes, empty, [*CLASSES, "calibration_error"], 0.95)
    assert np.isnan(found["auc"][0]).all(), "one class"
    assert np.isnan(found["calibration_error"]).all()
    assert all(np.isnan(found[metric][0][1]) for metric in CLASSES), "no rows"
    many = Classified(np.arange(6) % 3, np.arange(6) % 3, np.ones(6), np.zeros(6), 3, None)
    three = intervals(many, Groups.single(6), ["accuracy", "f1", "auc"], 0.95)
    assert not np.isnan(three["accuracy"][0][0])
    assert np.isnan(three["f1"][0][0]) and np.isnan(three["auc"][0][0])


def test_calibration_of_a_hand_worked_table():
    score = np.array([0.25, 0.25, 0.25, 0.25, 0.32, 0.32])
    label = np.array([0, 0, 0, 0, 1, 1])
    outcomes = Classified(label, (score > 0.5).astype(int), score, score, 2, 1)
    values = measure(outcomes, Groups.single(6), ["calibration", "calibration_error"])
    assert values["calibration"][0] == pytest.approx(1.64 / 2)
    assert values["calibration_error"][0] == pytest.approx((0.25 * 4 + 0.68 * 2) / 6)
    mean = measure(Regressed(np.array([1.0, 3.0]), np.array([2.0, 4.0])), Groups.single(2),
                   ["calibration"])  # fmt: skip
    assert mean["calibration"][0] == pytest.approx(1.5)
