"""Computes the views of a service into a store; what is there already stays."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from components.feature_backfill.backfill import backfill
from components.feature_computer.declared import (
    Features,
    data_fingerprint,
    view_fingerprint,
    views_of,
)
from components.feature_computer.record import Made, forget, made_of, note
from components.features.view import FeatureView


@dataclass(frozen=True)
class Computed:
    """One view; rows_in = events + rejected + filtered + duplicates."""

    view: str
    version: int
    rows_in: int
    rejected: int
    filtered: int
    duplicates: int
    events: int
    rows_out: int
    """Of the change log."""


def compute(
    features: Features,
    store: Path,
    as_of: datetime | None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Computed, ...]:
    """Applies the definitions, then computes their views.

    Args:
      progress: Is told the name of each view.

    Raises:
      BeamfleetError: a definition has changed without a new version, a source cannot be read, or
        the values are not what a view expects of them.
    """
    done = []
    for view in views_of(features):
        progress(view.name)
        done.append(_computed(view, store, as_of))
    return tuple(done)


def _computed(view: FeatureView, store: Path, as_of: datetime | None) -> Computed:
    of = {
        "definition": view_fingerprint(view),
        "data": data_fingerprint(view.sources),
        "as_of": as_of.isoformat() if as_of else "",
    }
    known = made_of(store, view)
    if known is not None and known.of == of:
        return Computed(view.name, view.version, **known.counts)
    forget(store, view)  # while it is computed anew, what was noted does not hold
    report = backfill(view, store, as_of=as_of)
    made = Computed(
        view.name,
        view.version,
        rows_in=report.rows_in,
        rejected=report.rejected,
        filtered=report.filtered,
        duplicates=report.duplicates,
        events=report.events,
        rows_out=report.rows_out,
    )
    counts = {name: n for name, n in asdict(made).items() if name not in ("view", "version")}
    note(store, view, Made(of, counts))
    return made
