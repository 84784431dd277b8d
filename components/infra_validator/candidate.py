"""The model that is validated, opened outside the server."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from components.infra_validator.malformed import Malformed
from components.model_server.servable import has_feature_service, is_ensemble


@dataclass(frozen=True)
class Sample:
    """The rows that the server is asked about."""

    rows: pa.Table
    names: list[str]
    """What a report calls each row, such as `entity 'HS-grad'`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """More about them for the report."""


@dataclass(frozen=True)
class Prediction:
    """What the models say of one row."""

    outputs: Mapping[str, list[Any]]
    """Name -> values, as `Candidate.read` gives those of the server."""
    error: str | None = None
    """Why there is none; None if there is one."""


class Candidate(Protocol):
    """Entity models, or an ensemble."""

    uri: str
    noun: str
    """Under which the report counts the different names of a sample."""
    tolerance: float
    """Relative, of numbers: far below what a skew does, above what another order of additions may.
    Near 0 a hundredth of it, absolute."""

    def sample(self, batches: Iterable[pa.RecordBatch], count: int) -> Sample:
        """Takes `count` rows or fewer.

        Raises:
          BeamfleetError: there are none, or columns are missing.
        """

    def request(self, row: pa.Table) -> dict[str, Any]:
        """The request of a client that has this row."""

    def predict(self, row: pa.Table) -> Prediction:
        """Predicts one row without the server.

        Raises:
          BeamfleetError: a stored model cannot be read.
        """

    def read(self, outputs: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """The outputs of a response as they are compared."""

    def malformed(self, good: Mapping[str, Any]) -> list[Malformed]:
        """Requests that the server must refuse, made from one that it answers."""


def open_candidate(uri: str) -> Candidate:
    """Opens and checks what lies there.

    Raises:
      BeamfleetError: it is damaged, or cannot be loaded.
    """
    if is_ensemble(uri):
        from components.infra_validator.ensemble_candidate import EnsembleCandidate

        return EnsembleCandidate(uri)
    if has_feature_service(uri):
        from components.infra_validator.featured_candidate import FeaturedCandidate

        return FeaturedCandidate(uri)
    from components.infra_validator.entity_candidate import EntityCandidate

    return EntityCandidate(uri)
