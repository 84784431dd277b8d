"""Looks at every entity's model after the push: is it still right, and are the inputs the same?"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_monitor.accuracy import METRICS, Judged, Rules, judge
from components.feature_monitor.drift import Drift, measured
from components.feature_monitor.labels import JUDGED_AT, Labelled
from components.features.service import FeatureService
from components.served_log.columns import FEATURE, REQUEST

WORSE, DRIFTED, FINE, FEW, UNJUDGED = "worse", "drifted", "fine", "too few rows", "not judged"
BAD = (WORSE, DRIFTED)


@dataclass(frozen=True)
class WatchConfig:
    """What is looked for."""

    min_rows: int = 100
    """Labelled rows of an entity (for drift: rows) below which nothing is said about it."""
    confidence: float = 0.99
    """That a look at all entities of a service raises no false alarm about accuracy, and the same
    about drift; each of the intervals is wider, by Bonferroni."""
    max_drop: float = 0.02
    """Loss of accuracy or AUC against the evaluation that is allowed."""
    minimum: Mapping[str, float] = field(default_factory=dict)
    """Metric -> least value."""
    max_drift: float = 0.1
    """Largest distance from the training split that is allowed, 0 to 1."""

    def __post_init__(self) -> None:
        if self.min_rows < 1:
            raise BeamfleetError(f"min_rows is {self.min_rows}, expected 1 or more")
        if not 0.5 <= self.confidence < 1:
            raise BeamfleetError(f"confidence is {self.confidence}, expected 0.5 to below 1")
        if not (0 <= self.max_drop <= 1 and 0 <= self.max_drift <= 1):
            raise BeamfleetError(
                f"max_drop is {self.max_drop} and max_drift {self.max_drift}, expected 0 to 1"
            )
        if unknown := sorted(set(self.minimum) - set(METRICS)):
            raise BeamfleetError(f"no metric {', '.join(unknown)}; choose from accuracy, auc")


@dataclass(frozen=True)
class Pushed:
    """What the watch knows of the pushed version."""

    version: int
    since: datetime
    """When it was pushed."""
    task: str
    entity_columns: tuple[str, ...]
    positive: str
    """Class that scores belong to; "" if there are not two."""
    evaluated: Mapping[str, Mapping[str, Any]]
    """Entity -> metrics of its evaluation, with `rows`; "" is the fallback."""
    own: frozenset[str]
    """Entities with a model of their own."""


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
    drifts = _drifts(served, reference, service, config, entities, seen_until)
    rows = dict.fromkeys(entities, 0) | dict(
        served.drop_nulls("entity")["entity"].value_counts().iter_rows()
    )
    found = [
        _verdict(
            one,
            rows[one],
            labelled,
            drifts.get(one, ()),
            pushed,
            config,
            labels_until,
            len(entities),
        )
        for one in entities
    ]
    order = {verdict: place for place, verdict in enumerate((WORSE, DRIFTED, FINE, FEW, UNJUDGED))}
    return sorted(found, key=lambda one: (order[one.verdict], one.entity))


def _verdict(
    entity: str,
    rows: int,
    labelled: Labelled | None,
    drift: Sequence[Drift],
    pushed: Pushed,
    config: WatchConfig,
    labels_until: datetime | None,
    entities: int,
) -> EntityVerdict:
    mine = labelled.rows.filter(pl.col("entity") == entity) if labelled else None
    total = mine.height if mine is not None else 0
    recent, fresh = _recent(mine, labels_until, config.min_rows) if mine is not None else (None, 0)
    judged: list[Judged] = []
    if recent is not None and fresh and recent.height >= config.min_rows:
        judged = list(_judged(entity, recent, pushed, config, entities))
    said = [one.why for one in judged if one.worse] or [one.why for one in judged]
    moved = [one for one in drift if one.drifted]
    said += [
        f"{one.column} moved: {one.measure} {one.distance:.3g} from training, more than "
        f"{config.max_drift:g}"
        for one in moved[:3]
    ]
    if any(one.worse for one in judged):
        verdict = WORSE
    elif moved:
        verdict = DRIFTED
    elif judged:
        verdict = FINE
    else:
        verdict, why = _unjudged(mine, total, fresh, drift, pushed, config)
        said.append(why)
    return EntityVerdict(
        entity, verdict, "; ".join(said), rows, total, fresh, tuple(judged), tuple(drift)
    )


def _unjudged(
    mine: pl.DataFrame | None,
    total: int,
    fresh: int,
    drift: Sequence[Drift],
    pushed: Pushed,
    config: WatchConfig,
) -> tuple[str, str]:
    """Why nothing was said about how right the model is."""
    if drift and mine is None:
        return FINE, "no drift; no labels"
    if mine is None:
        return UNJUDGED, "no labels, and no training rows to compare with"
    if pushed.task != "classification":
        return UNJUDGED, f"accuracy is not a metric of {pushed.task}"
    if total < config.min_rows:
        return FEW, f"{total} labelled rows, fewer than {config.min_rows}"
    if not fresh:
        return UNJUDGED, "no new labels since the last look"
    return UNJUDGED, "neither accuracy nor AUC is defined"


def _recent(rows: pl.DataFrame, until: datetime | None, least: int) -> tuple[pl.DataFrame, int]:
    """The rows to judge, and how many of them have a label that is new."""
    new = rows if until is None else rows.filter(pl.col(JUDGED_AT) > until)
    return (new if new.height >= least else rows.sort("time").tail(least)), new.height


def _judged(
    entity: str, rows: pl.DataFrame, pushed: Pushed, config: WatchConfig, entities: int
) -> Iterator[Judged]:
    if pushed.task != "classification":
        return
    evaluated = pushed.evaluated.get(entity if entity in pushed.evaluated else "", {})
    looks = entities * len(METRICS)
    rules = Rules(config.max_drop, config.minimum, 1 - (1 - config.confidence) / looks)
    for metric in METRICS:
        if one := judge(metric, rows, evaluated, pushed.positive, rules):
            yield one


def _drifts(
    served: pl.DataFrame,
    reference: pl.DataFrame | None,
    service: FeatureService,
    config: WatchConfig,
    entities: Sequence[str],
    until: datetime | None,
) -> dict[str, tuple[Drift, ...]]:
    """Entity -> its columns, largest distance first; entities with too few rows are left out."""
    if reference is None:
        return {}
    names = {f"{FEATURE}{name}": name for name in service.features}
    names |= {f"{REQUEST}{name}": name for name in service.request}
    names |= {"prediction": "prediction", "score": "score"}
    columns = {
        live: plain
        for live, plain in names.items()
        if plain in reference.columns and live in served.columns
    }
    measures = {
        entity: found
        for entity in entities
        if (found := _of_entity(entity, served, reference, columns, config.min_rows, until))
    }
    tests = sum(map(len, measures.values()))
    alpha = (1 - config.confidence) / max(tests, 1)
    return {
        entity: tuple(sorted((_flagged(one, config, alpha) for one in found), key=_size))
        for entity, found in measures.items()
    }


def _of_entity(
    entity: str,
    served: pl.DataFrame,
    reference: pl.DataFrame,
    columns: Mapping[str, str],
    least: int,
    until: datetime | None,
) -> list[Drift]:
    mine = served.filter(pl.col("entity") == entity).sort("time")
    new = mine if until is None else mine.filter(pl.col("time") >= until)
    if not new.height:
        return []
    rows = new if new.height >= least else mine.tail(least)
    before = reference.filter(pl.col("entity") == entity)
    if rows.height < least or before.height < least:
        return []
    found = []
    for live, plain in columns.items():
        if before[plain].null_count() < before.height or rows[live].null_count() < rows.height:
            found.append(measured(plain, before[plain], rows[live]))
    return found


def _flagged(one: Drift, config: WatchConfig, alpha: float) -> Drift:
    drifted = one.distance > config.max_drift and one.p_value < alpha
    return Drift(**{**asdict(one), "drifted": drifted})


def _size(one: Drift) -> tuple[bool, float]:
    return not one.drifted, -one.distance


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


def pushed_version(directory: str) -> Pushed:
    """The current version of a pushed directory of entity models.

    Raises:
      BeamfleetError: nothing was pushed, or something else than entity models.
    """
    from components.entity_models.store import EntityModels
    from components.pusher.stores import open_store
    from components.pusher.versions import PushedVersions

    current = PushedVersions(directory).current()
    if current is None:
        raise BeamfleetError(f"nothing was pushed to {directory} yet")
    if (kind := open_store(current.path).kind) != "entity models":
        raise BeamfleetError(f"{current.path} is {kind}: only entity models are watched by entity")
    models = EntityModels(current.path)
    rows = models.index().to_pylist()
    classes = models.spec.classes
    return Pushed(
        version=current.number,
        since=datetime.fromisoformat(str(current.details["created"])),
        task=models.spec.task,
        entity_columns=models.spec.entity_columns,
        positive=str(classes[-1]) if len(classes) == 2 else "",
        evaluated={row["entity"]: json.loads(row["metrics"] or "{}") for row in rows},
        own=frozenset(
            row["entity"] for row in rows if row["entity"] and row["status"] == "trained"
        ),
    )
