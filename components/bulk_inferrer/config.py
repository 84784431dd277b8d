"""What a bulk inference reads and what it may write."""

from dataclasses import dataclass

from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError


@dataclass(frozen=True)
class InferenceConfig:
    """What becomes of the rows.

    Raises:
      BeamfleetError: a private column is to be written, or a number is out of range.
    """

    output_columns: tuple[str, ...] = ()
    """Input columns beside the predictions; none named: the entity columns that are not private."""
    private_columns: tuple[str, ...] = ()
    """Columns whose values are never written: not to the results, payloads or reasons."""
    payload: bool = False
    """Whether dead letters carry the other columns of their row."""
    retain_days: int = 30
    """How long dead letters may be kept; stated beside them, for whoever cleans up."""
    max_failed_share: float = 0.05
    """Share of rows that may fail; above it the node fails, because a model or a feed is broken."""

    def __post_init__(self) -> None:
        leaked = sorted(set(self.output_columns) & set(self.private_columns))
        if leaked:
            raise BeamfleetError(f"output_columns name the private columns {leaked}; take them out")
        if not 0 <= self.max_failed_share <= 1:
            raise BeamfleetError(
                f"max_failed_share is between 0 and 1, not {self.max_failed_share}"
            )
        if self.retain_days < 1:
            raise BeamfleetError(f"retain_days is 1 or more, not {self.retain_days}")

    def results(self, spec: ModelSpec) -> tuple[str, ...]:
        """The input columns that are written beside the predictions."""
        given = self.output_columns or spec.entity_columns
        return tuple(c for c in given if c not in self.private_columns)

    def needed(self, spec: ModelSpec) -> tuple[str, ...]:
        """The input columns that must be there."""
        features = (name for name, _ in spec.features)
        return tuple(dict.fromkeys([*spec.entity_columns, *features, *self.results(spec)]))
