"""Settings of the training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.errors import BeamfleetError

MISSING = ("drop", "keep")
TASKS = ("classification", "regression")


@dataclass(frozen=True)
class TrainConfig:
    """How to train one model per entity.

    Raises:
      BeamfleetError: a value is out of its range.
    """

    train_fn: str
    """Dotted path of `train_fn(examples, hparams[, parent]) -> model`."""
    entity: tuple[str, ...]
    """Columns whose values together are the entity key."""
    label: str
    """Column to predict."""
    task: str = "classification"
    """`classification` or `regression`."""
    hparams: Mapping[str, Any] = field(default_factory=dict)
    """Handed to `train_fn`; JSON values only, because they are part of the fingerprint."""
    min_rows: int = 50
    """Entities with fewer usable rows get no model of their own but the fallback."""
    max_rows: int = 100_000
    """An entity with more usable rows trains on a deterministic sample of this many."""
    max_fallback_rows: int = 50_000
    """The fallback trains on a deterministic sample of all usable rows of at most this many."""
    max_failed_share: float = 0.1
    """Failed entities / entities that were to be trained; above it the training fails."""
    missing: str = "drop"
    """`drop`: rows with a missing feature are left out and counted; `keep`: `train_fn` gets them.
    """
    code_fingerprint: str = ""
    """SHA-256 of the user's code; see `components.user_function.code_fingerprint`."""

    def __post_init__(self) -> None:
        if not self.entity or self.label in self.entity:
            raise BeamfleetError(
                f"entity {list(self.entity)} must name at least one column, and not the label "
                f"{self.label!r}"
            )
        if self.task not in TASKS:
            raise BeamfleetError(f"task must be one of {TASKS}, got {self.task!r}")
        if self.missing not in MISSING:
            raise BeamfleetError(f"missing must be one of {MISSING}, got {self.missing!r}")
        for name in ("min_rows", "max_rows", "max_fallback_rows"):
            if getattr(self, name) < 1:
                raise BeamfleetError(f"{name} must be >= 1 row, got {getattr(self, name)}")
        if self.max_rows < self.min_rows:
            raise BeamfleetError(f"max_rows {self.max_rows} is below min_rows {self.min_rows}")
        if not 0 <= self.max_failed_share <= 1:
            raise BeamfleetError(f"max_failed_share must be in 0..1, got {self.max_failed_share}")
        self.hparams_json()

    def hparams_json(self) -> str:
        """The hyper-parameters as JSON with sorted keys."""
        try:
            return json.dumps(dict(self.hparams), sort_keys=True, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise BeamfleetError(f"hparams must hold JSON values only: {error}") from error
