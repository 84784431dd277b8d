"""Skew of what a store served against what its backfills say."""

from datetime import UTC, datetime
from pathlib import Path

from components.errors import BeamfleetError
from components.feature_backfill.generation import current, manifest_of
from components.feature_monitor.skew import SkewReport, service_skew
from components.feature_store.logs import Logs
from components.features.group import FeatureGroup
from components.features.service import FeatureService
from components.served_log.read import read_losses, read_served


def stored_skew(
    root: Path, service: FeatureService, start: datetime, end: datetime, max_share: float = 0.0
) -> SkewReport:
    """Compares what was served in [start, end) with the newest backfills.

    Args:
      root: Of the feature store.
      service: What was served.
      start: With a time zone, as end.
      end: Exclusive.
      max_share: Share of skewed rows of a feature that is allowed.

    Raises:
      BeamfleetError: nothing was served, or a view has no backfill, or one of another definition.
    """
    if not 0 <= max_share <= 1:
        raise BeamfleetError(f"max_share is {max_share}, expected 0 to 1")
    until = backfilled_until(root, service)
    served = read_served(root, start, end, service.name).collect()
    lost = read_losses(root, service.name)
    inside = lost.filter((lost["time"] >= start) & (lost["time"] < end))

    return service_skew(
        served,
        service,
        Logs(root, service, as_known=False, as_of=None).of,
        Logs(root, service, as_known=True, as_of=None).of,
        start=start,
        end=end,
        as_of=until,
        max_share=max_share,
        not_logged=int(inside["rows"].sum() or 0),
    )


def backfilled_until(root: Path, service: FeatureService) -> datetime:
    """The time up to which all backfills of a service know what happened.

    That is their `as_of`, or, of a backfill of all that there was, when it was made; groups know
    everything that was inserted, until now.

    Raises:
      BeamfleetError: a view has no backfill.
    """
    times = [datetime.now(UTC)]
    for view in service.looked_up:
        if isinstance(view, FeatureGroup):
            continue
        generation = current(view, root)
        as_of = manifest_of(generation)["as_of"]
        made = datetime.fromtimestamp((generation / "manifest.json").stat().st_mtime, UTC)
        times.append(datetime.fromisoformat(as_of) if as_of else made)
    return min(times)
