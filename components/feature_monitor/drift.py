"""How far the values that are served lie from those of training.

The distances are those of the project's checks of examples: of words the L-infinity norm, the
largest change of a word's share; of numbers the Jensen-Shannon divergence (base 2, 0 to 1), over
tenths of the training rows. Missing values are a word, and a bin, of their own.

A few rows lie far from anything by chance. So a distance alarms only where a chi-squared test of
the same counts says, too, that chance is not it.

Source: TFDV, "Checking data skew and drift"; Lin 1991, "Divergence Measures Based on the Shannon
  Entropy"; Pearson 1900.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

_BINS = 10
_WORDS = 20
_OTHER, _MISSING = "(other)", "(missing)"
_LEAST_EXPECTED = 5.0
Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """One column of one entity."""

    column: str
    measure: str
    """L-infinity or Jensen-Shannon."""
    distance: float
    p_value: float
    """That two samples of one distribution differ so much."""
    rows: int
    reference_rows: int
    drifted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measured(column: str, reference: pl.Series, live: pl.Series) -> Drift:
    """The distance of one column; both sides have rows.

    Args:
      column: For the report.
      reference: Values of training: numbers, truth values, times (as numbers) or words.
      live: Values that were served.
    """
    if reference.dtype in (pl.String, pl.Boolean, pl.Categorical):
        before, now = _word_counts(reference.cast(pl.String), live.cast(pl.String))
        shares = before / before.sum(), now / now.sum()
        distance, measure = float(np.abs(shares[0] - shares[1]).max()), "L-infinity"
    else:
        before, now = _bin_counts(_numbers(reference), _numbers(live))
        distance = _divergence(before / before.sum(), now / now.sum())
        measure = "Jensen-Shannon"
    return Drift(column, measure, distance, _p_value(before, now), len(live), len(reference))


def _numbers(values: pl.Series) -> Counts:
    """Floats; NaN where a value is missing."""
    if isinstance(values.dtype, pl.Datetime):
        values = values.dt.epoch("us")
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _bin_counts(reference: Counts, live: Counts) -> tuple[Counts, Counts]:
    """Counts in the tenths of the reference; the last bin has the missing values."""
    finite = reference[np.isfinite(reference)]
    inner = np.linspace(0, 1, _BINS + 1)[1:-1]
    edges = np.unique(np.quantile(finite, inner)) if len(finite) else np.empty(0)

    def counts(values: Counts) -> Counts:
        # Values that equal an edge are many (counts, zeros): right of it they stay together.
        place = np.searchsorted(edges, values, side="right")
        place[np.isnan(values)] = len(edges) + 1
        return np.bincount(place, minlength=len(edges) + 2).astype(np.float64)

    return counts(reference), counts(live)


def _word_counts(reference: pl.Series, live: pl.Series) -> tuple[Counts, Counts]:
    """Counts of the most frequent words of training; all others, also new ones, together."""
    counted = reference.drop_nulls().value_counts(sort=True)
    kept = counted[counted.columns[0]].head(_WORDS).to_list()

    def counts(values: pl.Series) -> Counts:
        numbers = dict(values.value_counts().iter_rows())
        found = [float(numbers.get(word, 0)) for word in kept]
        missing = float(values.null_count())
        return np.array([*found, missing, len(values) - missing - sum(found)])

    return counts(reference), counts(live)


def _divergence(p: Counts, q: Counts) -> float:
    middle = (p + q) / 2

    def entropy(one: Counts) -> float:
        there = one > 0
        return float((one[there] * np.log2(one[there] / middle[there])).sum())

    return max(0.0, (entropy(p) + entropy(q)) / 2)


def _p_value(before: Counts, now: Counts) -> float:
    """Of a chi-squared test of homogeneity; bins that expect fewer than five are one."""
    from scipy.stats import chi2

    table = np.vstack([before, now])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    small = expected.min(axis=0) < _LEAST_EXPECTED
    merged = np.column_stack([table[:, ~small], table[:, small].sum(axis=1)])
    merged = merged[:, merged.sum(axis=0) > 0]
    if merged.shape[1] < 2:
        return 1.0
    expected = merged.sum(axis=1, keepdims=True) * merged.sum(axis=0) / merged.sum()
    statistic = float(((merged - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, merged.shape[1] - 1))
