"""What an evaluation measures and when it says yes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.errors import BeamfleetError

CLASSIFICATION_METRICS = ("accuracy", "f1", "precision", "recall", "auc", "log_loss")
REGRESSION_METRICS = ("mse", "rmse", "mae", "r2")
ONLY_WHERE_ASKED: Mapping[str, tuple[str, ...]] = {
    "classification": ("calibration", "calibration_error"),
    "regression": ("calibration",),
}
LOWER_IS_BETTER = frozenset({"log_loss", "mse", "rmse", "mae", "calibration_error"})
ONE_IS_BEST = frozenset({"calibration"})
ROW_MEANS = frozenset({"accuracy", "log_loss", "mse", "mae"})
"""Metrics that are the mean of one number a row, which paired tests need."""


@dataclass(frozen=True)
class Threshold:
    """Bounds of one metric."""

    minimum: float | None = None
    """Value that the metric has to reach, in the metric's unit."""
    maximum: float | None = None
    """Value that the metric must not exceed."""
    max_drop: float | None = None
    """Change threshold: largest worsening of the overall value against the pushed version."""

    @classmethod
    def from_dict(cls, metric: str, values: Mapping[str, float]) -> "Threshold":
        """Reads `{"min": .., "max": .., "max_drop": ..}`."""
        names = {"min": "minimum", "max": "maximum", "max_drop": "max_drop"}
        unknown = sorted(set(values) - set(names))
        if unknown or not values:
            raise BeamfleetError(
                f"thresholds[{metric!r}] has {unknown or 'nothing'}; expected min, max or max_drop"
            )
        wrong = "min" if metric in LOWER_IS_BETTER else "max"
        if wrong in values and metric not in ONE_IS_BEST:
            raise BeamfleetError(
                f"thresholds[{metric!r}]: {wrong!r} would ask for a bad model; for {metric} "
                f"{'lower' if wrong == 'min' else 'higher'} is better"
            )
        if not all(math.isfinite(value) for value in values.values()):
            raise BeamfleetError(
                f"thresholds[{metric!r}] is {dict(values)}: expected finite numbers; "
                "every value, or none, would pass"
            )
        return cls(**{names[name]: float(value) for name, value in values.items()})

    @property
    def bound(self) -> float | None:
        """A value threshold: the minimum, or a maximum where there is none."""
        return self.minimum if self.minimum is not None else self.maximum


@dataclass(frozen=True)
class EvaluationConfig:
    """Settings of one evaluation; see `components.entity_evaluator.verdicts` for the rules."""

    metrics: tuple[str, ...] = ()
    """Metrics to report. The first that is a mean over rows (accuracy, log_loss, mse, mae) decides;
    without one accuracy does, or mse for regression. The very first chooses among candidates.
    Empty: all of the task but calibration and calibration_error, which are measured where asked."""
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    """Bounds by metric, for the whole version; means over rows also bind every own model."""
    slices: tuple[tuple[str, ...], ...] = ()
    """Columns that are crossed to one slicing each. TFMA needs about 30 ms a slice."""
    fairness: tuple[str, ...] = ()
    """Columns whose groups are compared with each other, such as sex."""
    confidence: float = 0.95
    """1 - the false discovery rate of verdicts, and confidence of the overall tests and of the
    intervals of one model's metrics."""
    min_eval_rows: int = 30
    """Entities with fewer rows get the verdict of all such entities together."""
    eval_split: str = "eval"
    positive_label: str = ""
    """Positive class of a two-class task as text; empty: the last of the sorted classes."""
    max_failed_share: float = 0.01
    """Share of rows whose prediction may fail, for the version and for an own model."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise BeamfleetError(f"confidence must be in [0.5, 1), got {self.confidence}")
        if self.min_eval_rows < 1:
            raise BeamfleetError(f"min_eval_rows must be >= 1, got {self.min_eval_rows}")
        if not 0 <= self.max_failed_share <= 1:
            raise BeamfleetError(f"max_failed_share must be in [0, 1], got {self.max_failed_share}")
        known = CLASSIFICATION_METRICS + REGRESSION_METRICS + ONLY_WHERE_ASKED["classification"]
        unknown = sorted({*self.metrics, *self.thresholds} - set(known))
        if unknown:
            raise BeamfleetError(f"unknown metrics {unknown}; choose from {', '.join(known)}")

    @property
    def alpha(self) -> float:
        """Significance level."""
        return 1 - self.confidence

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "EvaluationConfig":
        """Reads plain JSON values.

        Raises:
          BeamfleetError: a name or a value makes no sense.
        """
        read = dict(values)
        read["metrics"] = tuple(values.get("metrics") or ())
        read["fairness"] = tuple(values.get("fairness") or ())
        slices = values.get("slices") or ()
        read["slices"] = tuple((s,) if isinstance(s, str) else tuple(s) for s in slices)
        read["thresholds"] = {
            metric: Threshold.from_dict(metric, bounds)
            for metric, bounds in (values.get("thresholds") or {}).items()
        }
        return cls(**read)

    def metrics_for(self, task: str) -> tuple[str, ...]:
        """Metrics to report for a task, thresholds' ones included.

        Raises:
          BeamfleetError: a metric belongs to the other task.
        """
        possible = CLASSIFICATION_METRICS if task == "classification" else REGRESSION_METRICS
        asked = tuple(dict.fromkeys((*self.metrics, *self.thresholds)))
        known = possible + ONLY_WHERE_ASKED[task]
        foreign = [metric for metric in asked if metric not in known]
        if foreign:
            raise BeamfleetError(
                f"{', '.join(foreign)}: not a {task} metric; choose from {', '.join(known)}"
            )
        return asked if self.metrics else tuple(dict.fromkeys((*possible, *asked)))

    def decision_metric(self, task: str) -> str:
        """Metric whose per-row values the verdicts compare."""
        for metric in self.metrics:
            if metric in ROW_MEANS:
                return metric
        return "accuracy" if task == "classification" else "mse"

    def choosing_metric(self, task: str) -> str:
        """Metric that chooses among candidates: the first that was asked for."""
        return self.metrics[0] if self.metrics else self.decision_metric(task)


def goodness(metric: str, value: float) -> float:
    """A number that is higher for a better value, whatever the direction of the metric."""
    if metric in ONE_IS_BEST:
        return -abs(1 - value)
    return -value if metric in LOWER_IS_BETTER else value
