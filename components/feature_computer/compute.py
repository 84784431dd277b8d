"""Computes the views of a service into a store; what is there already stays."""

from dataclasses import dataclass
from datetime import datetime

from components.feature_computer.declared import Features, note_computed, views_of
from components.feature_store.store import FeatureStore


@dataclass(frozen=True)
class Computed:
    """One view; rows_in = rejected + filtered + later + duplicates + events."""

    view: str
    version: int
    rows_in: int
    rejected: int
    filtered: int
    later: int
    duplicates: int
    events: int
    rows_out: int
    """Of the change log."""


def compute(
    features: Features, store: FeatureStore, as_of: datetime | None
) -> tuple[Computed, ...]:
    """Applies the definitions to the registry, then computes their views.

    Raises:
      BeamfleetError: a definition has changed without a new version, a source cannot be read, or
        the values are not what a view expects of them.
    """
    store.apply(features)
    done = []
    for view in views_of(features):
        report = store.backfill(view, as_of)[view.name]
        counts = (getattr(report, name) for name in list(Computed.__dataclass_fields__)[2:])
        done.append(Computed(view.name, view.version, *counts))
    note_computed(features, store.root)
    return tuple(done)
