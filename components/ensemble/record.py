"""What travels through an ensemble."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Failure:
    """Why a record has no result."""

    stage: str
    reason: str


@dataclass(frozen=True)
class Record:
    """A keyed row: what came in, what the stages have added, and what went wrong."""

    key: str
    """Names the row in results and dead letters; need not be unique."""
    values: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """Stage -> model that made its column, where the handler names it."""
    variant: str = ""
    """Of an A/B test."""
    failure: Failure | None = None

    def with_prediction(self, stage: str, prediction: Any, version: str) -> "Record":
        """The record with one column more."""
        versions = {**self.versions, stage: version} if version else self.versions
        return replace(self, values={**self.values, stage: prediction}, versions=versions)

    def failed(self, stage: str, reason: str) -> "Record":
        """The record as a dead letter: later stages pass it on."""
        return replace(self, failure=Failure(stage, reason))
