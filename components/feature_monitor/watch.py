"""Looks at every entity's model after the push: is it still right, and are the inputs the same?"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from components.feature_monitor.accuracy import METRICS, Judged, Rules, judge
from components.feature_monitor.config import WatchConfig
from components.feature_monitor.drift import Drift
from components.feature_monitor.entity_drift import drifts
from components.feature_monitor.labels import JUDGED_AT, Labelled
from components.feature_monitor.pushed import Pushed
from components.features.service import FeatureService

WORSE, DRIFTED, FINE, FEW, UNJUDGED = "worse", "drifted", "fine", "too few rows", "not judged"
BAD = (WORSE, DRIFTED)


@dataclass(frozen=True)
class EntityVerdict:
    """What was found out about one entity."""

    entity: str
    verdict: str
    why: str
    rows: int
    """Served by this version."""
    labelled: int
    new_labelled: int
    """Of these, since the last look."""
    metrics: tuple[Judged, ...] = ()
    drift: tuple[Drift, ...] = ()
    """Largest first."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def verdicts(
    served: pl.DataFrame,
    labelled: Labelled | None,
    reference: pl.DataFrame | None,
    service: FeatureService,
    pushed: Pushed,
    config: WatchConfig,
    *,
    seen_until: datetime | None = None,
    labels_until: datetime | None = None,
) -> list[EntityVerdict]:
    """Judges every entity that was served by the pushed version, worst first.

    New rows are judged: those of after the last look; where an entity has fewer than `min_rows` of
    them, its newest `min_rows` of this version.

    Args:
      served: Rows of the log, of this version only.
      labelled: Those with labels; None: there are no labels.
      reference: Training rows with `entity` and the columns of features and request by their plain
        names, perhaps `prediction` and `score`; None: drift is not looked at.
      service: What was served.
      pushed: The version.
      config: See there.
      seen_until: Up to which rows drift was judged before.
      labels_until: When accuracy was judged before.
    """
    entities = sorted(served["entity"].drop_nulls().unique().to_list())
    found_drifts = drifts(served, reference, service, config, entities, seen_until)
    rows = dict.fromkeys(entities, 0) | dict(
        served.drop_nulls("entity")["entity"].value_counts().iter_rows()
    )
    look = _Look(labelled, pushed, config, labels_until, len(entities))
    found = [_verdict(one, rows[one], found_drifts.get(one, ()), look) for one in entities]
    order = {verdict: place for place, verdict in enumerate((WORSE, DRIFTED, FINE, FEW, UNJUDGED))}
    return sorted(found, key=lambda one: (order[one.verdict], one.entity))


@dataclass(frozen=True)
class _Look:
    """What the verdicts of all entities stand on."""

    labelled: Labelled | None
    pushed: Pushed
    config: WatchConfig
    labels_until: datetime | None
    entities: int


def _verdict(entity: str, rows: int, drift: Sequence[Drift], look: _Look) -> EntityVerdict:
    least = look.config.min_rows
    mine = look.labelled.rows.filter(pl.col("entity") == entity) if look.labelled else None
    total = mine.height if mine is not None else 0
    recent, fresh = _recent(mine, look.labels_until, least) if mine is not None else (None, 0)
    judged: list[Judged] = []
    if recent is not None and fresh and recent.height >= least:
        judged = list(_judged(entity, recent, look))
    if any(one.worse for one in judged):
        verdict = WORSE
    elif any(one.drifted for one in drift):
        verdict = DRIFTED
    elif judged:
        verdict = FINE
    else:
        verdict, why = _unjudged(mine, fresh, drift, look)
        return EntityVerdict(entity, verdict, why, rows, total, fresh, (), tuple(drift))
    why = _why(judged, drift, look.config.max_drift)
    return EntityVerdict(entity, verdict, why, rows, total, fresh, tuple(judged), tuple(drift))


def _why(judged: Sequence[Judged], drift: Sequence[Drift], most: float) -> str:
    """What is bad; if nothing is, what was judged."""
    bad = [one.why for one in judged if one.worse]
    bad += [
        f"{one.column} moved: {one.measure} {one.distance:.3g} from training, more than {most:g}"
        for one in [one for one in drift if one.drifted][:3]
    ]
    return "; ".join(bad or [one.why for one in judged])


def _unjudged(
    mine: pl.DataFrame | None, fresh: int, drift: Sequence[Drift], look: _Look
) -> tuple[str, str]:
    """Why nothing was said about how right the model is."""
    if drift and mine is None:
        return FINE, "no drift; no labels"
    if mine is None:
        return UNJUDGED, "no labels, and no training rows to compare with"
    if look.pushed.task != "classification":
        return UNJUDGED, f"accuracy is not a metric of {look.pushed.task}"
    if mine.height < look.config.min_rows:
        return FEW, f"{mine.height} labelled rows, fewer than {look.config.min_rows}"
    if not fresh:
        return UNJUDGED, "no new labels since the last look"
    return UNJUDGED, "neither accuracy nor AUC is defined"


def _recent(rows: pl.DataFrame, until: datetime | None, least: int) -> tuple[pl.DataFrame, int]:
    """The rows to judge, and how many of them have a label that is new."""
    new = rows if until is None else rows.filter(pl.col(JUDGED_AT) > until)
    return (new if new.height >= least else rows.sort("time").tail(least)), new.height


def _judged(entity: str, rows: pl.DataFrame, look: _Look) -> Iterator[Judged]:
    pushed, config = look.pushed, look.config
    if pushed.task != "classification":
        return
    evaluated = pushed.evaluated.get(entity if entity in pushed.evaluated else "", {})
    looks = look.entities * len(METRICS)
    rules = Rules(config.max_drop, config.minimum, 1 - (1 - config.confidence) / looks)
    for metric in METRICS:
        if one := judge(metric, rows, evaluated, pushed.positive, rules):
            yield one


def over_time(
    served: pl.DataFrame, labelled: Labelled | None, every: timedelta, positive: str
) -> list[dict[str, Any]]:
    """Rows, labelled rows, and accuracy with a 95% interval, by entity and window of time."""
    from components.feature_monitor.accuracy import live_estimate

    at = pl.col("time").dt.truncate(f"{int(every.total_seconds() * 1e6)}us").alias("window")
    counts = served.group_by("entity", at).len("rows").sort("entity", "window")
    parts = (
        labelled.rows.with_columns(at).partition_by("entity", "window", as_dict=True)
        if labelled
        else {}
    )
    found = []
    for entity, window, rows in counts.iter_rows():
        part = parts.get((entity, window))
        line: dict[str, Any] = {"entity": entity, "window": window, "rows": rows, "labelled": 0}
        if part is not None:
            line["labelled"] = part.height
            for metric in METRICS:
                if one := live_estimate(metric, part, positive, 0.95):
                    line[metric] = asdict(one)
        found.append(line)
    return found
