"""What comes of an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EvaluationResult:
    """The verdict on a new version."""

    objections: list[str]
    """Why it may not be pushed; empty: it is blessed."""
    unchanged: bool
    """It holds exactly the models that are pushed."""
    counts: Mapping[str, int]
    """rows_in = rows_evaluated + rows_missing_label + rows_missing_entity; rows_unknown_label,
    rows_failed; of entity models entities_blessed, _kept, _fallback, _refused."""
    overall: Mapping[str, Mapping[str, float | None]]
    """Metrics by model (composed or candidate, pushed, fallback, majority); None: undefined."""
    notes: list[str]
    """What a reader should know beside the verdict."""
    intervals: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    """Lower and upper end by metric, of the evaluated model; None: there is none."""
    compared_with: str = ""
    """The model in whose place this one would come, in words; empty: nobody says."""

    @property
    def blessed(self) -> bool:
        return not self.objections
