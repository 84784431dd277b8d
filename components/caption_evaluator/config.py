"""What an evaluation of captions measures and when it says yes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.entity_evaluator.config import Threshold
from components.errors import BeamfleetError

LARGEST: Mapping[str, float] = {
    "exact_match": 1.0,
    "own_order_exact_match": 1.0,
    "oracle_exact_match": 1.0,
    "bleu": 100.0,
    "clip_score": 2.5,
    "coverage": 1.0,
}
"""Metrics and the largest value of each; 0 is the smallest, and higher is better."""
METRICS = tuple(LARGEST)
MEASURED = (
    "caption", "own_order_caption", "exact_match", "own_order_exact_match", "oracle_exact_match",
    "bleu", "bleu_counts", "clip_score", "probability", "failure",
)  # fmt: skip
"""Columns that the evaluation makes of each image; see `score.py`."""
MOST_VALUES = 50
"""Of a column that is sliced by although nobody named it."""
NEED_REFERENCE = frozenset({"exact_match", "own_order_exact_match", "oracle_exact_match", "bleu"})


@dataclass(frozen=True)
class CaptionEvaluationConfig:
    """Settings of one evaluation; see `components.caption_evaluator.gate` for the rules."""

    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    """Bounds by metric. bleu is on a scale of 0 to 100, clip_score of 0 to 2.5, the others 0 to 1;
    clip_score is that of the ensemble's own CLIP, so that no bound fits all of them."""
    slices: tuple[tuple[str, ...], ...] | None = None
    """Columns of the result that are crossed to one slicing each, such as ("objects", "colours").
    A value is taken as it is: "blue+red" is a slice of its own, not part of "blue". None: each
    column of the source by itself that has at most MOST_VALUES values."""
    confidence: float = 0.95
    """Confidence of the intervals; 1 - the level of the tests."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise BeamfleetError(f"confidence must be in [0.5, 1), got {self.confidence}")
        if unknown := sorted(set(self.thresholds) - set(METRICS)):
            raise BeamfleetError(f"unknown metrics {unknown}; choose from {', '.join(METRICS)}")
        for metric, threshold in self.thresholds.items():
            _check_scale(metric, threshold)
        if not all(self.slices or ()):
            raise BeamfleetError("a slicing needs at least one column; overall is always there")
        if taken := sorted(set(self.columns) & set(MEASURED)):
            raise BeamfleetError(
                f"slices {taken} would collide with columns of the evaluation; give the source's "
                "column another name"
            )

    @property
    def alpha(self) -> float:
        """Significance level."""
        return 1 - self.confidence

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that were named to slice by, sorted."""
        return tuple(sorted({column for slicing in self.slices or () for column in slicing}))

    @property
    def dropping(self) -> tuple[str, ...]:
        """Metrics with a max_drop."""
        return tuple(m for m, t in self.thresholds.items() if t.max_drop is not None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CaptionEvaluationConfig":
        """Reads plain JSON values.

        Raises:
          BeamfleetError: a name or a value makes no sense.
        """
        slices = values.get("slices")
        return cls(
            thresholds={
                metric: Threshold.from_dict(metric, bounds)
                for metric, bounds in (values.get("thresholds") or {}).items()
            },
            slices=None
            if slices is None
            else tuple((s,) if isinstance(s, str) else tuple(s) for s in slices),
            confidence=float(values.get("confidence", cls.confidence)),
        )


def _check_scale(metric: str, threshold: Threshold) -> None:
    """A bound on another scale would always be reached, or never."""
    largest = LARGEST[metric]
    for bound in (threshold.minimum, threshold.max_drop):
        if bound is not None and not 0 <= bound <= largest:
            raise BeamfleetError(
                f"thresholds[{metric!r}]: {bound:g} is not on its scale, 0 to {largest:g}"
            )
    if metric == "bleu" and threshold.minimum is not None and 0 < threshold.minimum <= 1:
        raise BeamfleetError(
            f"thresholds['bleu']: min {threshold.minimum:g} looks like a share; BLEU is on a scale "
            f"of 0 to 100, write {100 * threshold.minimum:g}"
        )
