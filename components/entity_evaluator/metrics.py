"""Metrics of thousands of groups of rows at once.

Every function takes one group number a row and gives arrays of shape (groups,); the work is
`bincount`, and one sort for AUC. A value that is not defined, such as AUC with one class only, is
NaN here and null, with a reason, in tables: never 0. Definitions are TFMA's, and a test holds the
values equal to TFMA's; AUC is the exact one, which TFMA approximates with 10,000 thresholds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LOG_LOSS_CLIP = 1e-7
"""Smallest probability that log loss believes; Keras' and so TFMA's epsilon."""
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Groups:
    """Which group each row belongs to."""

    code: Ints
    """(rows,) in [0, size)."""
    size: int
    """Number of groups; one may have no rows."""

    @classmethod
    def single(cls, rows: int) -> "Groups":
        """All rows in one group."""
        return cls(np.zeros(rows, dtype=np.int64), 1)

    def select(self, mask: Bools) -> "Groups":
        """The groups of some of the rows."""
        return Groups(self.code[mask], self.size)

    @property
    def rows(self) -> Ints:
        """(groups,) rows in each group."""
        return np.bincount(self.code, minlength=self.size)

    def count(self, mask: Bools) -> Ints:
        """(groups,) rows of which the mask is true."""
        return np.bincount(self.code[mask], minlength=self.size)

    def sum(self, values: Floats) -> Floats:
        """(groups,) sums of (rows,) values."""
        return np.bincount(self.code, weights=values, minlength=self.size).astype(np.float64)

    def mean(self, values: Floats) -> Floats:
        """(groups,) means; NaN without rows."""
        return ratio(self.sum(values), self.rows)


@dataclass(frozen=True)
class Classified:
    """Labels and predictions of a classifier, row by row.

    Two more numbers follow those of the known classes: `classes` is the label that is none of them,
    `classes + 1` the prediction that failed. Either way the row is an error of the model.
    """

    label: Ints
    """(rows,) in [0, classes]."""
    predicted: Ints
    """(rows,) in [0, classes) or classes + 1."""
    truth: Floats
    """(rows,) probability given to the true class; 0 if it is unknown or the prediction failed."""
    score: Floats
    """(rows,) probability of the positive class; the wrong one of 0 and 1 if it failed."""
    classes: int
    """Number of known classes."""
    positive: int | None
    """The positive class where there are two, else None: metrics are then means over classes."""

    @property
    def codes(self) -> int:
        """Number of class numbers, the two special ones included."""
        return self.classes + 2

    @property
    def failed(self) -> Bools:
        """(rows,) whether the prediction failed."""
        return np.asarray(self.predicted == self.classes + 1)

    def select(self, mask: Bools) -> "Classified":
        """Some of the rows."""
        return replace(
            self,
            label=self.label[mask],
            predicted=self.predicted[mask],
            truth=self.truth[mask],
            score=self.score[mask],
        )


@dataclass(frozen=True)
class Regressed:
    """Labels and predictions of a regression, row by row.

    There is no worst number that a failed prediction could be given: it is NaN and must be left out
    (`select`) and counted before anything is measured.
    """

    label: Floats
    predicted: Floats

    @property
    def failed(self) -> Bools:
        """(rows,) whether the prediction failed."""
        return np.isnan(self.predicted)

    def select(self, mask: Bools) -> "Regressed":
        """Some of the rows."""
        return Regressed(self.label[mask], self.predicted[mask])


Outcomes = Classified | Regressed


def measure(outcomes: Outcomes, groups: Groups, metrics: Sequence[str]) -> dict[str, Floats]:
    """Computes metrics by name: each (groups,), NaN where undefined."""
    if isinstance(outcomes, Regressed):
        predicted = ~outcomes.failed
        outcomes, groups = outcomes.select(predicted), groups.select(predicted)
        return {metric: _REGRESSION[metric](outcomes, groups) for metric in metrics}
    return {metric: _CLASSIFICATION[metric](outcomes, groups) for metric in metrics}


def why_undefined(metric: str) -> str:
    """Why a metric can be null where there are rows."""
    return f"{metric} undefined: {_UNDEFINED.get(metric, 'no rows')}"


def ratio(numerator: Floats | Ints, denominator: Floats | Ints) -> Floats:
    """Element-wise quotient; NaN where the denominator is 0."""
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) != 0)
    return result


def row_losses(outcomes: Outcomes, metric: str) -> Floats:
    """(rows,) loss behind a metric that is a mean over rows; accuracy is 1 - its mean loss."""
    if isinstance(outcomes, Regressed):
        error = np.abs(outcomes.label - outcomes.predicted)
        return np.asarray(error if metric == "mae" else np.square(error))
    if metric == "log_loss":
        return np.asarray(-np.log(np.clip(outcomes.truth, LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP)))
    return np.asarray(outcomes.label != outcomes.predicted, dtype=np.float64)


def constant(outcomes: Outcomes, groups: Groups) -> Outcomes:
    """The best constant predictions of each group: majority class (with class shares), mean label.

    They are chosen on the evaluated rows themselves, and so a little too good: a model that beats
    them does not owe that to the choice.
    """
    if isinstance(outcomes, Regressed):
        return Regressed(outcomes.label, np.nan_to_num(groups.mean(outcomes.label))[groups.code])
    table = class_counts(outcomes.label, outcomes.codes, groups)
    table[:, outcomes.classes :] = 0
    share = table / np.maximum(groups.rows, 1)[:, None]
    return replace(
        outcomes,
        predicted=table.argmax(axis=1)[groups.code],
        truth=share[groups.code, outcomes.label],
        score=share[groups.code, outcomes.positive or 0],
    )


def all_failed(outcomes: Outcomes) -> Outcomes:
    """The same rows without any prediction."""
    if isinstance(outcomes, Regressed):
        return replace(outcomes, predicted=np.full(len(outcomes.label), np.nan))
    return replace(
        outcomes,
        predicted=np.full(len(outcomes.label), outcomes.classes + 1),
        truth=np.zeros(len(outcomes.label)),
        score=(outcomes.label != outcomes.positive).astype(np.float64),
    )


def merge(which: Ints, choices: Sequence[Outcomes]) -> Outcomes:
    """Takes each row from one of several outcomes of the same rows: `choices[which[row]]`."""

    def pick(name: str) -> npt.NDArray[Any]:
        return np.asarray(np.choose(which, [getattr(outcomes, name) for outcomes in choices]))

    first = choices[0]
    if isinstance(first, Regressed):
        return replace(first, predicted=pick("predicted"))
    return replace(first, predicted=pick("predicted"), truth=pick("truth"), score=pick("score"))


def class_counts(label: Ints, codes: int, groups: Groups) -> Ints:
    """(groups, codes) rows of each class in each group."""
    cells = np.bincount(groups.code * codes + label, minlength=groups.size * codes)
    return cells.reshape(groups.size, codes)


def confusion_cells(outcomes: Classified, groups: Groups) -> tuple[Ints, Ints, Ints, Ints]:
    """Non-empty cells of all confusion matrices: group, label, predicted, count; sorted."""
    size = outcomes.codes
    key = (groups.code * size + outcomes.label) * size + outcomes.predicted
    cell, count = np.unique(key, return_counts=True)
    return cell // size**2, cell // size % size, cell % size, count


def _accuracy(outcomes: Classified, groups: Groups) -> Floats:
    return ratio(groups.count(outcomes.label == outcomes.predicted), groups.rows)


def _log_loss(outcomes: Classified, groups: Groups) -> Floats:
    return groups.mean(row_losses(outcomes, "log_loss"))


def _by_class(
    formula: Callable[[Ints, Ints, Ints], Floats],
) -> Callable[[Classified, Groups], Floats]:
    """Of the positive class, or the mean over the classes in which the formula is defined."""

    def compute(outcomes: Classified, groups: Groups) -> Floats:
        right = outcomes.label == outcomes.predicted
        hits = class_counts(outcomes.label[right], outcomes.codes, groups.select(right))
        labels = class_counts(outcomes.label, outcomes.codes, groups)
        predicted = class_counts(outcomes.predicted, outcomes.codes, groups)
        values = formula(hits.ravel(), labels.ravel(), predicted.ravel()).reshape(hits.shape)
        values = values[:, : outcomes.classes]
        if outcomes.positive is not None:
            return values[:, outcomes.positive]
        defined = ~np.isnan(values)
        return ratio(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1))

    return compute


def _precision(hits: Ints, labels: Ints, predicted: Ints) -> Floats:
    del labels
    return ratio(hits, predicted)


def _recall(hits: Ints, labels: Ints, predicted: Ints) -> Floats:
    del predicted
    return ratio(hits, labels)


def _f1(hits: Ints, labels: Ints, predicted: Ints) -> Floats:
    return ratio(2 * hits, labels + predicted)


def midranks(score: Floats, groups: Groups) -> Floats:
    """(rows,) rank of each row in its group, from 1; equal scores share their mean rank."""
    order = np.lexsort((score, groups.code))
    code, ordered = groups.code[order], score[order]
    new = np.ones(len(code), dtype=bool)
    new[1:] = (code[1:] != code[:-1]) | (ordered[1:] != ordered[:-1])
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(code)) - 1
    in_order = ((first + last) / 2 + 1)[np.cumsum(new) - 1]
    ranks = np.empty(len(code))
    ranks[order] = in_order - (np.cumsum(groups.rows) - groups.rows)[code]
    return ranks


def _auc(outcomes: Classified, groups: Groups) -> Floats:
    """Share of (positive, negative) pairs in the right order, ties counting half.

    Mann-Whitney: (sum of the positives' mean ranks - p(p+1)/2) / (p n).
    Source: Hanley, McNeil 1982.
    """
    if outcomes.positive is None:
        return np.full(groups.size, np.nan)
    positive = outcomes.label == outcomes.positive
    positives = groups.count(positive)
    ranks = groups.select(positive).sum(midranks(outcomes.score, groups)[positive])
    pairs = positives * (groups.rows - positives)
    return ratio(ranks - positives * (positives + 1) / 2, pairs)


def _calibration(outcomes: Classified, groups: Groups) -> Floats:
    """Mean predicted probability of the positive class over the share of positive rows; 1 is best.

    Source: TFMA's `Calibration`; He et al. 2014, "Practical Lessons from Predicting Clicks on Ads
      at Facebook", which calls it the essential metric where the probabilities are used.
    """
    if outcomes.positive is None:
        return np.full(groups.size, np.nan)
    return ratio(groups.sum(outcomes.score), groups.count(outcomes.label == outcomes.positive))


def _calibration_error(outcomes: Classified, groups: Groups) -> Floats:
    """How far predicted probabilities lie from the shares that come true, 0 (best) to 1.

    Expected calibration error of the positive class: rows in CALIBRATION_BINS bins of equal width
    by their probability, the mean of |mean probability - share of positives| over the rows.

    Source: Naeini, Cooper, Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian
      Binning".
    """
    if outcomes.positive is None:
        return np.full(groups.size, np.nan)
    place = np.minimum((outcomes.score * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    cells = Groups(groups.code * CALIBRATION_BINS + place, groups.size * CALIBRATION_BINS)
    gap = cells.sum(outcomes.score - (outcomes.label == outcomes.positive))
    return ratio(np.abs(gap).reshape(groups.size, -1).sum(axis=1), groups.rows)


def _mean_ratio(outcomes: Regressed, groups: Groups) -> Floats:
    """Mean prediction over mean label, as TFMA's `Calibration`; 1 is best."""
    return ratio(groups.sum(outcomes.predicted), groups.sum(outcomes.label))


def _r2(outcomes: Regressed, groups: Groups) -> Floats:
    deviation = outcomes.label - np.nan_to_num(groups.mean(outcomes.label))[groups.code]
    return 1 - ratio(groups.sum(row_losses(outcomes, "mse")), groups.sum(deviation**2))


_CLASSIFICATION: Mapping[str, Callable[[Classified, Groups], Floats]] = {
    "accuracy": _accuracy,
    "log_loss": _log_loss,
    "precision": _by_class(_precision),
    "recall": _by_class(_recall),
    "f1": _by_class(_f1),
    "auc": _auc,
    "calibration": _calibration,
    "calibration_error": _calibration_error,
}
_REGRESSION: Mapping[str, Callable[[Regressed, Groups], Floats]] = {
    "mse": lambda outcomes, groups: groups.mean(row_losses(outcomes, "mse")),
    "rmse": lambda outcomes, groups: np.sqrt(groups.mean(row_losses(outcomes, "mse"))),
    "mae": lambda outcomes, groups: groups.mean(row_losses(outcomes, "mae")),
    "r2": _r2,
    "calibration": _mean_ratio,
}
_UNDEFINED = {
    "auc": "it needs rows of two classes, of a two-class task",
    "calibration": "no row is positive (of a two-class task), or the labels sum to 0",
    "calibration_error": "it needs rows of a two-class task",
    "precision": "no row is predicted positive",
    "recall": "no row is positive",
    "f1": "no row is or is predicted positive",
    "r2": "all labels are the same",
}
