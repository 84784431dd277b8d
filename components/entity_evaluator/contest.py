"""The models that compete for each entity, and the tests between them."""

from dataclasses import dataclass

import numpy as np

from components.entity_evaluator.config import ROW_MEANS, EvaluationConfig
from components.entity_evaluator.metrics import (
    Bools,
    Floats,
    Groups,
    Ints,
    Outcomes,
    row_losses,
)
from components.entity_evaluator.significance import (
    benjamini_hochberg,
    mcnemar,
    paired_t,
    proportion_above,
)

NONE, NEW, REFRESH, HELD = range(4)
"""Which own models there are: none, the candidate's only, both, the pushed only (or the same)."""


@dataclass(frozen=True)
class Contest:
    """All that verdicts rest on."""

    entities: list[str]
    """All entities of the evaluated rows, the candidate and the pushed version; sorted."""
    groups: Groups
    """Entity of each evaluated row."""
    own: Outcomes
    """Predictions of the candidate: own models, its fallback elsewhere."""
    fallback: Outcomes | None
    """Predictions of the fallback that the new version will have; None if there is none."""
    pushed: Outcomes | None
    """Predictions of the pushed version; None if nothing is pushed."""
    situation: Ints
    """(entities,) NONE, NEW, REFRESH or HELD."""
    note: list[str]
    """(entities,) why there is no own model of the candidate, or that it is unchanged."""
    metric: str
    """The decision metric, a mean over rows."""


@dataclass(frozen=True)
class Units:
    """What is tested: an entity with enough rows, or all small ones of one situation together."""

    of_entity: Ints
    """(entities,) number of the unit."""
    groups: Groups
    """Unit of each row."""
    situation: Ints
    """(units,) NONE, NEW, REFRESH or HELD."""
    members: Ints
    """(units,) entities in the unit."""

    def where(self, *situations: int) -> Bools:
        """(units,) whether the unit is in one of the situations and has rows."""
        return np.isin(self.situation, situations) & (self.groups.rows > 0)

    @classmethod
    def of(cls, contest: Contest, min_rows: int) -> "Units":
        """Pools the entities that have fewer than `min_rows` rows."""
        size = len(contest.entities)
        small = contest.groups.rows < min_rows
        of_entity = np.where(small, size + contest.situation, np.arange(size))
        units = size + HELD + 1
        return cls(
            of_entity=of_entity,
            groups=Groups(of_entity[contest.groups.code], units),
            situation=np.concatenate([contest.situation, np.arange(HELD + 1)]),
            members=np.bincount(of_entity, minlength=units),
        )


@dataclass(frozen=True)
class Tests:
    """Adjusted p-values, (units,) each; 1 where a question does not arise."""

    own_better_than_fallback: Floats
    own_worse_than_pushed: Floats

    @classmethod
    def of(cls, contest: Contest, units: Units) -> "Tests":
        """Tests all units; each question is one family."""

        def adjusted(first: Outcomes | None, second: Outcomes | None, asked: int) -> Floats:
            if first is None:  # a model that does not exist is better than none
                return np.ones(units.groups.size)
            p = compare(first, second, units.groups, contest.metric)
            return benjamini_hochberg(p, units.where(asked))

        own, fallback, pushed = contest.own, contest.fallback, contest.pushed
        return cls(
            own_better_than_fallback=adjusted(own, fallback, NEW),
            # Without a pushed version there is no unit that asks.
            own_worse_than_pushed=adjusted(pushed, own, REFRESH),
        )


@dataclass(frozen=True)
class Refusals:
    """Units whose own candidate models may not be used, whatever the comparisons say."""

    refused: Bools
    p_value: Floats
    """Adjusted p-value of the threshold; NaN if predictions fail too often."""
    reason: list[str]

    @classmethod
    def of(cls, contest: Contest, units: Units, config: EvaluationConfig) -> "Refusals":
        """Holds the own models against the value thresholds that are means over rows.

        A lower confidence bound has to reach the threshold: the bounds are those of level
        1 - R alpha / m (R of m units reach theirs), which is the same as Benjamini-Hochberg on the
        p-values of "the true value is beyond the threshold".

        Source: Benjamini, Yekutieli 2005, "False discovery rate-adjusted multiple confidence
          intervals for selected parameters".
        """
        refused = failing(contest.own, units.groups, config.max_failed_share)
        p_value = np.full(units.groups.size, np.nan)
        reason = ["its predictions fail too often" if fails else "" for fails in refused]
        family = units.where(NEW, REFRESH)
        for metric, threshold in config.thresholds.items():
            if threshold.bound is None or row_mean(metric) is None:
                continue
            p = reaches(contest.own, units.groups, metric, threshold.bound)
            p = benjamini_hochberg(p, family)
            beyond = family & (p > config.alpha) & ~refused
            p_value[beyond] = p[beyond]
            for unit in np.flatnonzero(beyond):
                reason[unit] = f"{metric} does not reach {threshold.bound:g} with confidence"
            refused = refused | beyond
        return cls(refused, p_value, reason)


def compare(first: Outcomes, second: Outcomes | None, groups: Groups, metric: str) -> Floats:
    """(groups,) one-sided p-values that `first` is better than `second`; not adjusted.

    Anything is better than no model: p is 0 if `second` is None. Rows of a regression on which one
    of the two failed are left out of the pairs.
    """
    if second is None:
        return np.zeros(groups.size)
    first_loss, second_loss = row_losses(first, metric), row_losses(second, metric)
    if metric == "accuracy":
        better, worse = second_loss > first_loss, first_loss > second_loss
        return mcnemar(groups.count(better), groups.count(worse))
    paired = ~np.isnan(first_loss + second_loss)
    groups = groups.select(paired)
    difference = (second_loss - first_loss)[paired]
    return paired_t(groups.sum(difference), groups.sum(difference**2), groups.rows)


def beats(first: Outcomes | None, second: Outcomes | None, groups: Groups, metric: str) -> Bools:
    """(groups,) whether `first` has the smaller mean loss; true where there is nothing to compare.

    Rows of a regression on which one of the two failed are left out.
    """
    if first is None or second is None:
        return np.full(groups.size, second is None)
    gain = row_losses(second, metric) - row_losses(first, metric)
    leads: Bools = (groups.sum(np.nan_to_num(gain)) > 0) | (groups.rows == 0)
    return leads


def reaches(outcomes: Outcomes, groups: Groups, metric: str, bound: float) -> Floats:
    """(groups,) one-sided p-values that the true value is better than the bound.

    At most alpha exactly where the confidence bound of that level (Clopper-Pearson for accuracy,
    Student for the others) reaches the threshold.
    """
    loss = row_losses(outcomes, row_mean(metric) or metric)
    if metric == "accuracy":
        return proportion_above(groups.count(loss == 0), groups.rows, bound)
    margin = (bound**2 if metric == "rmse" else bound) - loss
    measured = ~np.isnan(margin)
    groups, margin = groups.select(measured), margin[measured]
    return paired_t(groups.sum(margin), groups.sum(margin**2), groups.rows)


def row_mean(metric: str) -> str | None:
    """The mean over rows that stands for a metric in one entity: rmse is judged as its square."""
    return "mse" if metric == "rmse" else metric if metric in ROW_MEANS else None


def failing(outcomes: Outcomes | None, groups: Groups, share: float) -> Bools:
    """(groups,) whether more than a share of the predictions failed."""
    if outcomes is None:
        return np.zeros(groups.size, dtype=bool)
    return groups.count(outcomes.failed) > share * groups.rows
