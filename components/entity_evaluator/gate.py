"""Whether the new version as a whole may be pushed.

* There are evaluated rows, and no more than `max_failed_share` of their predictions failed.
* The overall value of each metric with a value threshold reaches it (as TFMA compares: the value,
  not a bound), and is not worse than the pushed version's by more than `max_drop`.
* On the decision metric, the version is not significantly worse than the pushed one, nor than the
  fallback alone.
* Without any value threshold it must be significantly better than a constant (the majority class,
  the mean label); once a version is pushed, not significantly worse: replacing it by a like one
  needs no new evidence.

Each overall test stands alone at `confidence`. The rows that chose the models also measure them, so
that the overall values lean a little to the good side; what is held back must be new data.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.entity_evaluator.config import EvaluationConfig, Threshold, goodness
from components.entity_evaluator.contest import compare
from components.entity_evaluator.metrics import Groups, Outcomes, constant, measure, why_undefined


@dataclass(frozen=True)
class Overall:
    """The new version against the others, on all rows."""

    composed: Outcomes
    fallback: Outcomes | None
    pushed: Outcomes | None
    metric: str
    """The decision metric."""
    metrics: tuple[str, ...]
    """What is reported and may have thresholds."""
    error: str
    """One error of a failed prediction of the composed version, or empty."""
    role: str = "pushed"
    """What the model in `pushed` is: `pushed`, or `blessed` where nothing is pushed."""

    @property
    def groups(self) -> Groups:
        return Groups.single(len(self.composed.label))

    def models(self) -> dict[str, Outcomes]:
        """As `slice_table` takes them: "" is the new version, beside it the current model."""
        current = {} if self.pushed is None else {self.role: self.pushed}
        return {"": self.composed, **current}

    def values(self) -> dict[str, dict[str, float]]:
        """Metrics by model: composed, pushed, fallback, majority; NaN where undefined."""
        models = {
            "composed": self.composed,
            self.role: self.pushed,
            "fallback": self.fallback,
            "majority": constant(self.composed, self.groups),
        }
        names = tuple(dict.fromkeys((self.metric, *self.metrics)))
        return {
            model: {m: float(v[0]) for m, v in measure(outcomes, self.groups, names).items()}
            for model, outcomes in models.items()
            if outcomes is not None
        }


def objections(overall: Overall, config: EvaluationConfig) -> list[str]:
    """Everything that speaks against pushing, in words; empty: the version is blessed."""
    if not len(overall.composed.label):
        return [f"split {config.eval_split!r} has no rows with a label and an entity key"]
    values = overall.values()
    found = _failures(overall, config)
    for metric, threshold in config.thresholds.items():
        found += _threshold(metric, threshold, values, overall.role)
    return found + _comparisons(overall, config, values)


def _failures(overall: Overall, config: EvaluationConfig) -> list[str]:
    failed, rows = int(overall.composed.failed.sum()), len(overall.composed.label)
    if failed <= config.max_failed_share * rows:
        return []
    return [
        f"the predictions of {failed} of {rows} rows failed, allowed is a share of "
        f"{config.max_failed_share:g}; {overall.error}"
    ]


def _threshold(
    metric: str, threshold: Threshold, values: Mapping[str, Mapping[str, float]], role: str
) -> list[str]:
    value = values["composed"][metric]
    if np.isnan(value):
        return [why_undefined(metric)]
    found = []
    for bound, side in ((threshold.minimum, 1), (threshold.maximum, -1)):
        if bound is not None and side * value < side * bound:
            found.append(f"{metric} is {value:.4g}, the threshold is {bound:g}")
    if threshold.max_drop is not None and role in values:
        drop = goodness(metric, values[role][metric]) - goodness(metric, value)
        if not drop <= threshold.max_drop:
            found.append(
                f"{metric} is {value:.4g}, worse than {_NAMES[role]} "
                f"{values[role][metric]:.4g} by more than {threshold.max_drop:g}"
            )
    return found


def _comparisons(
    overall: Overall, config: EvaluationConfig, values: Mapping[str, Mapping[str, float]]
) -> list[str]:
    majority = constant(overall.composed, overall.groups)
    asked = {overall.role: overall.pushed, "fallback": overall.fallback}
    if all(threshold.bound is None for threshold in config.thresholds.values()):
        asked["majority"] = majority
    found = []
    for name, other in asked.items():
        if other is None:
            continue
        must_win = name == "majority" and overall.pushed is None
        first, second = (overall.composed, other) if must_win else (other, overall.composed)
        p = float(compare(first, second, overall.groups, overall.metric)[0])
        if (p <= config.alpha) == must_win:
            continue
        verb = "is not significantly better than" if must_win else "is significantly worse than"
        found.append(
            f"{overall.metric} {values['composed'][overall.metric]:.4g} {verb} "
            f"{_NAMES[name]} {values[name][overall.metric]:.4g} on {len(majority.label)} rows "
            f"(p {p:.2g})"
        )
    return found


_NAMES = {
    "pushed": "the pushed version's",
    "blessed": "the latest blessed model's",
    "fallback": "the all-rows model's",
    "majority": "the best constant's",
}
