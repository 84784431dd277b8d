import numpy as np
import pytest
from scipy import stats

from components.entity_evaluator.significance import (
    benjamini_hochberg,
    mcnemar,
    paired_t,
    proportion_above,
)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    better, worse = np.array([9, 0, 3]), np.array([2, 0, 3])
    expected = [
        stats.binomtest(9, 11, alternative="greater").pvalue,
        1.0,
        stats.binomtest(3, 6, alternative="greater").pvalue,
    ]
    assert mcnemar(better, worse).tolist() == pytest.approx(expected)


def test_paired_t_is_scipys() -> None:
    difference = np.random.default_rng(1).normal(0.1, 1, 50)
    p = paired_t(np.array([difference.sum()]), np.array([(difference**2).sum()]), np.array([50]))
    assert p[0] == pytest.approx(stats.ttest_1samp(difference, 0, alternative="greater").pvalue)


def test_paired_t_does_not_overstate_equal_or_few_differences() -> None:
    total = np.array([0.3 * 4, 0.0, 5.0, -2.0])
    squares = np.array([0.09 * 4, 0.0, 25.0, 4 / 3])
    p = paired_t(total, squares, np.array([4, 4, 1, 3]))
    assert p.tolist() == pytest.approx([0.5**4, 1, 1, 1])


def test_benjamini_hochberg_is_scipys_within_the_family() -> None:
    p = np.array([0.01, 0.9, 0.03, 0.02, 1e-9])
    tested = np.array([True, True, True, True, False])
    adjusted = benjamini_hochberg(p, tested)
    assert adjusted[:4] == pytest.approx(stats.false_discovery_control(p[:4]))
    assert adjusted[4] == 1


def test_proportion_above_agrees_with_the_clopper_pearson_bound() -> None:
    for successes, rows in ((70, 100), (65, 100), (5, 5), (0, 5)):
        low = stats.beta.ppf(0.05, successes, rows - successes + 1) if successes else 0.0
        p = proportion_above(np.array([successes]), np.array([rows]), 0.6)[0]
        assert (p <= 0.05) == (low >= 0.6)
