"""Whether a model is as right after the push as it was when it was evaluated.

Both sides are samples. The interval of their difference is put together from the interval of each
(MOVER; for two shares with Wilson's intervals that is Newcombe's hybrid score interval), and a
model is worse only where the whole interval lies below what is allowed.

Source: Wilson 1927; Newcombe 1998, "Interval Estimation for the Difference Between Independent
  Proportions", method 10; Zou, Donner 2008 (MOVER); Hanley, McNeil 1982 (AUC of the evaluation, of
  which only the value and the rows are kept).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from components.entity_evaluator.intervals import intervals, wilson
from components.entity_evaluator.metrics import Classified, Groups, measure

METRICS = ("accuracy", "auc")
_LEAST_OF_A_CLASS = 10
"""Rows of each class below which an AUC says nothing."""


@dataclass(frozen=True)
class Estimate:
    """A metric with the interval in which it may lie."""

    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Judged:
    """One metric of one entity, live against the evaluation."""

    metric: str
    live: Estimate
    baseline: Estimate | None
    """Of the evaluation of the pushed version; None: it did not measure it."""
    difference_high: float | None
    """Upper end of the interval of live - baseline."""
    worse: bool
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Rules:
    """When a model is worse."""

    max_drop: float
    """Loss against the evaluation that is allowed."""
    minimum: Mapping[str, float]
    """Metric -> value that has to be reached, whatever the evaluation said."""
    confidence: float
    """Of each interval, already for as many as are looked at."""


def judge(
    metric: str, rows: pl.DataFrame, evaluated: Mapping[str, Any], positive: str, rules: Rules
) -> Judged | None:
    """Judges one metric; None: it is undefined here, such as AUC without scores.

    Args:
      metric: Of METRICS.
      rows: Labelled rows: prediction, label and score.
      evaluated: Metric -> value, and `rows`, of the evaluation; may lack any.
      positive: Class that scores belong to; "" if there are not two.
      rules: See there.
    """
    live = live_estimate(metric, rows, positive, rules.confidence)
    if live is None:
        return None
    baseline = _baseline(metric, rows, evaluated, positive, rules.confidence)
    high, said, worse = None, [], False
    if baseline:
        reach = math.hypot(live.high - live.value, baseline.value - baseline.low)
        high = live.value - baseline.value + reach
        worse = high < -rules.max_drop
        relation = "more than" if worse else "not shown to be more than"
        said.append(
            f"{metric} {live.value:.4g} of {live.rows} rows, {baseline.value:.4g} of "
            f"{baseline.rows} when evaluated: {relation} {rules.max_drop:g} lower "
            f"(at most {high:+.4g})"
        )
    least = rules.minimum.get(metric)
    if least is not None and live.high < least:
        worse = True
        said.append(f"{metric} {live.value:.4g} (at most {live.high:.4g}) is below {least:g}")
    if not said:
        said.append(f"{metric} {live.value:.4g}: the evaluation has none to compare it with")
    return Judged(metric, live, baseline, high, worse, "; ".join(said))


def live_estimate(
    metric: str, rows: pl.DataFrame, positive: str, confidence: float
) -> Estimate | None:
    """The metric of labelled rows, with its interval."""
    if metric == "accuracy":
        right = float((rows["prediction"] == rows["label"]).sum())
        return _share(right, rows.height, confidence) if rows.height else None
    if not positive:
        return None
    scored = rows.filter(pl.col("score").is_not_null(), pl.col("score").is_not_nan())
    outcomes, groups = _outcomes(scored, positive), Groups.single(scored.height)
    positives = int((outcomes.label == 1).sum())
    if min(positives, scored.height - positives) < _LEAST_OF_A_CLASS:
        return None
    [value] = measure(outcomes, groups, ["auc"])["auc"]
    low, high = intervals(outcomes, groups, ["auc"], confidence)["auc"]
    return Estimate(float(value), float(low[0]), float(high[0]), scored.height)


def _baseline(
    metric: str,
    rows: pl.DataFrame,
    evaluated: Mapping[str, Any],
    positive: str,
    confidence: float,
) -> Estimate | None:
    value, count = evaluated.get(metric), int(evaluated.get("rows") or 0)
    if value is None or count < 1:
        return None
    if metric == "accuracy":
        return _share(value * count, count, confidence)
    share = float((rows["label"] == positive).mean() or 0.0)  # type: ignore[arg-type]
    reach = _z(confidence) * _auc_error(float(value), share * count, (1 - share) * count)
    return Estimate(float(value), max(0.0, value - reach), min(1.0, value + reach), count)


def _auc_error(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an AUC by Hanley and McNeil."""
    if min(positives, negatives) < 1:
        return 1.0
    of_positives, of_negatives = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (of_positives - auc * auc)
    variance += (negatives - 1) * (of_negatives - auc * auc)
    return math.sqrt(max(variance, 0.0) / (positives * negatives))


def _share(right: float, rows: int, confidence: float) -> Estimate:
    low, high = wilson(np.array([right]), np.array([float(rows)]), confidence)
    return Estimate(right / rows, float(low[0]), float(high[0]), rows)


def _z(confidence: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + confidence) / 2))


def _outcomes(rows: pl.DataFrame, positive: str) -> Classified:
    label = (rows["label"] == positive).cast(pl.Int64).to_numpy()
    score = rows["score"].to_numpy()
    predicted = (rows["prediction"] == positive).fill_null(False).cast(pl.Int64).to_numpy()
    truth = np.where(label == 1, score, 1 - score)
    return Classified(label, predicted, truth, score, 2, 1)
