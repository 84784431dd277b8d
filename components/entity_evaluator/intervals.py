"""How far metrics of other rows of the same kind may lie from those measured.

All in closed form, so that thousands of slices cost little and nothing depends on a seed:

* Shares (accuracy; precision and recall of two classes): Wilson's score interval. f1 of two classes
  is 2J / (1 + J) of such a share, J = hits / (hits + misses + false alarms).
* AUC: DeLong's variance on the logit scale. Where every pair is in order, or none is, that variance
  is 0: Wilson's interval of min(positives, negatives) pairs without a row in common stands in.
* Means and ratios of sums over rows (log_loss, mse, rmse, mae, r2, calibration): Student's t with
  the linearised variance of a ratio.

None (NaN) where the metric is undefined, for calibration_error, whose sampling distribution is no
ratio's, and for precision, recall and f1 of more than two classes, which are means over classes.
Each interval stands alone at its confidence, and takes rows for independent.

Source: Wilson 1927; DeLong, DeLong, Clarke-Pearson 1988, "Comparing the Areas under Two or More
  Correlated ROC Curves", by the midranks of Sun, Xu 2014; Cochran 1977, "Sampling Techniques", 6.4.
"""

from collections.abc import Sequence

import numpy as np

from components.entity_evaluator.metrics import (
    Bools,
    Classified,
    Floats,
    Groups,
    Outcomes,
    Regressed,
    measure,
    midranks,
    ratio,
    row_losses,
)

Bounds = tuple[Floats, Floats]
_SHARES = frozenset({"accuracy", "precision", "recall", "f1"})


def intervals(
    outcomes: Outcomes, groups: Groups, metrics: Sequence[str], confidence: float
) -> dict[str, Bounds]:
    """Lower and upper ends by metric, (groups,) each; NaN where there is none."""
    if isinstance(outcomes, Regressed):
        predicted = ~outcomes.failed
        outcomes, groups = outcomes.select(predicted), groups.select(predicted)
    return {metric: _interval(outcomes, groups, metric, confidence) for metric in metrics}


def wilson(successes: Floats, rows: Floats, confidence: float) -> Bounds:
    """Score interval of shares; NaN without rows."""
    from scipy.stats import norm

    z = norm.ppf((1 + confidence) / 2)
    share, spread = ratio(successes, rows), ratio(np.full(len(rows), z**2), rows)
    centre = (share + spread / 2) / (1 + spread)
    reach = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return np.maximum(centre - reach, 0.0), np.minimum(centre + reach, 1.0)


def _interval(outcomes: Outcomes, groups: Groups, metric: str, confidence: float) -> Bounds:
    if isinstance(outcomes, Classified) and metric == "auc":
        return _of_auc(outcomes, groups, confidence)
    terms = _terms(outcomes, groups, metric)
    if terms is None:
        nothing = np.full(groups.size, np.nan)
        return nothing, nothing.copy()
    above, below = terms
    if metric in _SHARES:
        low, high = wilson(groups.sum(above), groups.sum(below), confidence)
        return (2 * low / (1 + low), 2 * high / (1 + high)) if metric == "f1" else (low, high)
    low, high = _of_ratio(above, below, groups, confidence)
    if metric == "rmse":
        return np.sqrt(np.maximum(low, 0.0)), np.sqrt(high)
    if metric == "r2":
        return 1 - high, 1 - np.maximum(low, 0.0)
    # The labels of a regression may have any sign, and so may their ratio.
    return (low if metric == "calibration" else np.maximum(low, 0.0)), high


def _terms(outcomes: Outcomes, groups: Groups, metric: str) -> tuple[Floats, Floats] | None:
    """The metric, or what it is a function of, is the sum of the first over that of the second."""
    one = np.ones(len(outcomes.label))
    if metric == "accuracy":
        return 1 - row_losses(outcomes, metric), one
    if isinstance(outcomes, Regressed):
        if metric == "calibration":
            return outcomes.predicted, outcomes.label
        if metric == "r2":
            mean = np.nan_to_num(groups.mean(outcomes.label))[groups.code]
            return row_losses(outcomes, "mse"), np.square(outcomes.label - mean)
        return row_losses(outcomes, metric), one
    if metric == "log_loss":
        return row_losses(outcomes, metric), one
    if outcomes.positive is None or metric == "calibration_error":
        return None
    positive = (outcomes.label == outcomes.positive).astype(np.float64)
    chosen = (outcomes.predicted == outcomes.positive).astype(np.float64)
    return {
        "precision": (positive * chosen, chosen),
        "recall": (positive * chosen, positive),
        "f1": (positive * chosen, np.maximum(positive, chosen)),
        "calibration": (outcomes.score, positive),
    }[metric]


def _of_ratio(above: Floats, below: Floats, groups: Groups, confidence: float) -> Bounds:
    from scipy.stats import t

    rows, total = groups.rows, groups.sum(below)
    value = ratio(groups.sum(above), total)
    residual = above - np.nan_to_num(value)[groups.code] * below
    # Of n rows n - 1 are free: value is where the residuals sum to 0.
    error = np.sqrt(groups.sum(residual**2) * ratio(rows, np.maximum(rows - 1, 0)))
    reach = t.ppf((1 + confidence) / 2, np.maximum(rows - 1, 1)) * ratio(error, np.abs(total))
    return value - reach, value + reach


def _of_auc(outcomes: Classified, groups: Groups, confidence: float) -> Bounds:
    from scipy.special import expit, logit
    from scipy.stats import norm

    [auc] = measure(outcomes, groups, ["auc"]).values()
    if outcomes.positive is None:
        return auc, auc.copy()
    positive = outcomes.label == outcomes.positive
    positives, negatives = groups.count(positive), groups.count(~positive)
    variance = ratio(_variance(outcomes.score, positive, groups), positives)
    variance += ratio(_variance(outcomes.score, ~positive, groups), negatives)
    inside = (auc > 0) & (auc < 1) & (variance > 0)
    reach = np.zeros(groups.size)
    reach[inside] = norm.ppf((1 + confidence) / 2) * np.sqrt(variance[inside])
    reach[inside] /= auc[inside] * (1 - auc[inside])
    middle = logit(np.where(inside, auc, 0.5))
    pairs = np.minimum(positives, negatives).astype(np.float64)
    low, high = wilson(np.nan_to_num(auc) * pairs, pairs, confidence)
    return (
        np.where(inside, expit(middle - reach), low),
        np.where(inside, expit(middle + reach), high),
    )


def _variance(score: Floats, side: Bools, groups: Groups) -> Floats:
    """(groups,) variance, over the rows of one side, of the share of the other side below them."""
    alone = groups.select(side)
    others = groups.rows - alone.rows
    share = ratio(
        (midranks(score, groups)[side] - midranks(score[side], alone)),
        others[alone.code],
    )
    mean = alone.mean(np.nan_to_num(share))
    squares = alone.sum(np.square(np.nan_to_num(share) - np.nan_to_num(mean)[alone.code]))
    return ratio(squares, np.maximum(alone.rows - 1, 0))
