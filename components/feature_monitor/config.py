"""What a watch looks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.errors import BeamfleetError
from components.feature_monitor.accuracy import METRICS


@dataclass(frozen=True)
class WatchConfig:
    """What is looked for."""

    min_rows: int = 100
    """Labelled rows of an entity (for drift: rows) below which nothing is said about it."""
    confidence: float = 0.99
    """That a look at all entities of a service raises no false alarm about accuracy, and the same
    about drift; each of the intervals is wider, by Bonferroni."""
    max_drop: float = 0.02
    """Loss of accuracy or AUC against the evaluation that is allowed."""
    minimum: Mapping[str, float] = field(default_factory=dict)
    """Metric -> least value."""
    max_drift: float = 0.1
    """Largest distance from the training split that is allowed, 0 to 1."""

    def __post_init__(self) -> None:
        if self.min_rows < 1:
            raise BeamfleetError(f"min_rows is {self.min_rows}, expected 1 or more")
        if not 0.5 <= self.confidence < 1:
            raise BeamfleetError(f"confidence is {self.confidence}, expected 0.5 to below 1")
        if not (0 <= self.max_drop <= 1 and 0 <= self.max_drift <= 1):
            raise BeamfleetError(
                f"max_drop is {self.max_drop} and max_drift {self.max_drift}, expected 0 to 1"
            )
        if unknown := sorted(set(self.minimum) - set(METRICS)):
            raise BeamfleetError(f"no metric {', '.join(unknown)}; choose from accuracy, auc")
