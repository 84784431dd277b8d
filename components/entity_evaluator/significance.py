"""Tests for many entities at once.

All functions are vectorised over entities: arrays of shape (entities,), no loop a row or entity.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def mcnemar(better: Ints, worse: Ints) -> Floats:
    """One-sided exact McNemar p-value that the first of two classifiers is the more accurate.

    Rows on which both are right or both wrong say nothing; of the others, half would fall to either
    side if there were no difference: P(X >= better), X ~ Bin(better + worse, 1/2). The mid-p
    variant is not used: far in the tail it can be half of the exact one, and with thousands of
    entities the tail is where verdicts are made.

    Args:
      better: rows that only the first gets right.
      worse: rows that only the second gets right.
    Source: McNemar 1947; Fagerland, Lydersen, Laake 2013, "The McNemar test for binary
      matched-pairs data: mid-p and asymptotic are better than exact conditional".
    """
    from scipy.stats import binom

    # Without discordant rows the tail starts at -1, whose probability is 1, as it should be.
    return np.asarray(binom.sf(better - 1, better + worse, 0.5), dtype=np.float64)


def paired_t(total: Floats, squares: Floats, rows: Ints) -> Floats:
    """One-sided paired t-test p-value that the mean difference is above zero.

    Where all differences of an entity are the same number the t statistic is infinite, which
    overstates what n equal rows can show: the sign test's 2^-n stands in. Below two rows p is 1.

    Args:
      total: sum of the differences (positive: the first is better).
      squares: sum of their squares.
      rows: number of rows.
    """
    from scipy.stats import t

    safe_rows = np.maximum(rows, 2)
    mean = total / safe_rows
    spread = np.maximum(squares - safe_rows * mean**2, 0.0)
    # Sums of squares cancel: what is left below this is rounding, not variance.
    constant = spread <= 1e-12 * np.maximum(squares, np.finfo(float).tiny)
    error = np.sqrt(np.where(constant, 1.0, spread) / (safe_rows - 1) / safe_rows)
    p = t.sf(mean / error, safe_rows - 1)
    p = np.where(constant, np.where(total > 0, 0.5**safe_rows, 1.0), p)
    return np.where(rows < 2, 1.0, p)


def benjamini_hochberg(p: Floats, tested: Bools) -> Floats:
    """Adjusted p-values; those <= q are discoveries with a false discovery rate of at most q.

    Why not Holm: it bounds the chance of one false verdict among all, and pays with nearly all
    power at 10,000 entities of a hundred rows. What has to be bounded is the share of changes that
    are chance; when nothing differs the two bounds are the same (any change at all: at most q).
    Entities have no row in common, so that the tests are independent given the models.

    Args:
      p: raw p-values.
      tested: members of the family; the others get 1.
    Source: Benjamini, Hochberg 1995.
    """
    adjusted = np.ones_like(p)
    members = np.flatnonzero(tested)
    order = members[np.argsort(p[members], kind="stable")]
    size = len(order)
    scaled = p[order] * size / np.arange(1, size + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def proportion_above(successes: Ints, rows: Ints, bound: float) -> Floats:
    """Exact binomial p-value that a proportion is above a bound: P(X >= successes).

    It is at most alpha exactly where the Clopper-Pearson lower bound of that level reaches the
    bound. Exact, because Wilson's interval rests on the normal tail, which is off at the levels
    that thousands of entities need.
    """
    from scipy.stats import binom

    return np.asarray(binom.sf(successes - 1, rows, bound), dtype=np.float64)
