"""One look after the push: reads what was served and labelled, judges, acts, and says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_monitor.config import WatchConfig
from components.feature_monitor.decisions import read_decisions
from components.feature_monitor.labels import Labelled, match_labels
from components.feature_monitor.pushed import Pushed, pushed_version
from components.feature_monitor.watch import BAD, WORSE, EntityVerdict, over_time, verdicts
from components.features.service import FeatureService
from components.pusher.directory import user
from components.pusher.entity_rollback import rollback_entities, rolled_back
from components.pusher.versions import PushedVersions
from components.served_log.read import read_losses, read_served
from components.words import listed


@dataclass(frozen=True)
class Watched:
    """What is watched, and against what."""

    service: FeatureService
    root: Path
    """Of the feature store."""
    directory: str
    """Pushed directory."""
    labels: pl.DataFrame | None = field(hash=False)
    """As the source of labels has them; None: the service has none."""
    reference: pl.DataFrame | None = field(hash=False)
    """Training rows, see `watch.verdicts`, without the column `entity`; None: drift is not looked
    at."""
    wait: timedelta = timedelta(0)
    """How long after its prediction a label may come; younger predictions are not judged."""
    within: timedelta | None = None
    """See `labels.match_labels`."""
    every: timedelta = timedelta(days=1)
    """Windows of the figures over time."""


@dataclass(frozen=True)
class Look:
    """What one look found."""

    at: datetime
    pushed: Pushed
    rows: int
    """Served by the pushed version."""
    new_rows: int
    """Of these, since the last look."""
    new_labelled: int
    other_versions: Mapping[str, int]
    """Version -> rows that another version served, which are not judged."""
    labels: Mapping[str, int] | None
    """See `labels.LabelCounts`."""
    losses: Mapping[str, int]
    """Why -> rows that were served and not logged since the push."""
    last: datetime | None
    """When this version was looked at before."""
    verdicts: tuple[EntityVerdict, ...]
    over_time: tuple[Mapping[str, Any], ...]
    not_looked_at: tuple[str, ...]
    """What the look could not look at, and why."""
    reference_rows: int = 0

    @property
    def is_new(self) -> bool:
        """Whether there were rows or labels since the last look."""
        return bool(self.new_rows or self.new_labelled)

    @property
    def bad(self) -> tuple[EntityVerdict, ...]:
        """Entities that alarm."""
        return tuple(one for one in self.verdicts if one.verdict in BAD)


def look(watched: Watched, config: WatchConfig, now: datetime | None = None) -> Look:
    """Judges every entity; nothing is changed or written.

    Args:
      watched: What.
      config: How.
      now: Default: the time.

    Raises:
      BeamfleetError: nothing was pushed or served, labels cannot be matched.
    """
    now = now or datetime.now(UTC)
    service, pushed = watched.service, pushed_version(watched.directory)
    last = _last(watched, pushed)
    everything = read_served(watched.root, pushed.since, now, service.name).collect()
    version = str(pushed.version)
    served = everything.filter(pl.col("model_version") == version)
    others = everything.filter(pl.col("model_version") != version)["model_version"]
    labelled = _labelled(watched, served, now)
    reference = _reference(watched, pushed)
    found = verdicts(
        served, labelled, reference, service, pushed, config, seen_until=last, labels_until=last
    )
    return Look(
        at=now,
        pushed=pushed,
        rows=served.height,
        new_rows=served.filter(pl.col("time") >= last).height if last else served.height,
        new_labelled=sum(one.new_labelled for one in found),
        other_versions=dict(others.value_counts().iter_rows()),
        labels=labelled.counts.to_dict() if labelled else None,
        losses=_losses(watched, pushed.since, now),
        last=last,
        verdicts=tuple(found),
        over_time=tuple(over_time(served, labelled, watched.every, pushed.positive)),
        not_looked_at=tuple(_not_looked_at(served, labelled, reference, pushed)),
        reference_rows=reference.height if reference is not None else 0,
    )


def act(watched: Watched, found: Look, *, rollback: bool) -> list[dict[str, Any]]:
    """Rolls back what is worse, if asked, and says of every entity what was decided and why.

    Only what is less right is rolled back: that inputs drifted does not say that the model before
    was better. An entity is rolled back by itself once for each push: if the earlier model is no
    better, a person has to look.

    Args:
      watched: What was looked at.
      found: The look.
      rollback: Whether to.

    Returns:
      Lines for `decisions.record`: one of the look, then one an entity.
    """
    head = {"time": found.at.isoformat(), "by": user(), "model_version": found.pushed.version}
    lines: list[dict[str, Any]] = [{**head, "kind": "look", **_summary(found)}]
    version = found.pushed.version
    for one in found.verdicts:
        action = "none"
        if one.verdict in BAD:
            action = "alarm"
            if rollback and one.verdict == WORSE:
                version, action = _roll_back(watched, found.pushed, one, version)
        lines.append({**head, "kind": "entity", **one.to_dict(), "action": action})
    return lines


def _roll_back(
    watched: Watched, pushed: Pushed, one: EntityVerdict, version: int
) -> tuple[int, str]:
    """The version that is current then, and what was done, in words."""
    if one.entity not in pushed.own:
        return version, "alarm; no rollback: it is served by the fallback, which others share"
    try:
        before = PushedVersions(watched.directory).version(pushed.version)
        if number := rolled_back(before, one.entity):
            said = f"alarm; no rollback: it has the model of version {number} by a rollback already"
            return version, said
        made = rollback_entities(
            watched.directory, [one.entity], expected=version, why=f"watch: {one.why}"
        )
    except (BeamfleetError, OSError) as error:
        return version, f"alarm; the rollback failed: {error}"
    earlier = rolled_back(made, one.entity)
    return made.number, f"rolled back to its model of version {earlier}, in version {made.number}"


def _summary(found: Look) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "new_rows": found.new_rows,
        "new_labelled": found.new_labelled,
        "labels": found.labels,
        "losses": found.losses,
        "not_looked_at": found.not_looked_at,
        "verdicts": {
            verdict: sum(one.verdict == verdict for one in found.verdicts)
            for verdict in sorted({one.verdict for one in found.verdicts})
        },
    }


def _last(watched: Watched, pushed: Pushed) -> datetime | None:
    looks = [
        line
        for line in read_decisions(watched.root, watched.service.name)
        if line.get("kind") == "look" and line.get("model_version") == pushed.version
    ]
    return datetime.fromisoformat(looks[-1]["time"]) if looks else None


def _labelled(watched: Watched, served: pl.DataFrame, now: datetime) -> Labelled | None:
    if watched.labels is None:
        return None
    return match_labels(
        served,
        watched.labels,
        watched.service,
        now=now,
        wait=watched.wait,
        within=watched.within,
    )


def _reference(watched: Watched, pushed: Pushed) -> pl.DataFrame | None:
    """With the column `entity`, as the trainer makes the keys."""
    if watched.reference is None:
        return None
    from components.entity_models.key import entity_keys

    keys = entity_keys(watched.reference.to_arrow(), pushed.entity_columns)
    named = pl.Series("entity", keys.to_pylist(), dtype=pl.String)
    return watched.reference.with_columns(named)


def _losses(watched: Watched, since: datetime, now: datetime) -> dict[str, int]:
    losses = read_losses(watched.root, watched.service.name)
    lately = losses.filter(pl.col("time") >= since, pl.col("time") <= now)
    counted = lately.group_by("why").agg(pl.col("rows").sum()).sort("why")
    return {why: int(rows) for why, rows in counted.iter_rows() if rows}


def _not_looked_at(
    served: pl.DataFrame,
    labelled: Labelled | None,
    reference: pl.DataFrame | None,
    pushed: Pushed,
) -> Sequence[str]:
    said = []
    if labelled is None:
        said.append("accuracy: the service has no labels")
    elif pushed.task != "classification":
        said.append(f"accuracy: the models are of {pushed.task}")
    if reference is None:
        said.append("drift: no training rows were given")
    if nameless := served["entity"].null_count():
        said.append(f"{nameless} rows: they have no entity")
    unknown = sorted(set(served["entity"].drop_nulls()) - pushed.own)
    if unknown:
        few = listed(map(repr, unknown[:5]))
        said.append(f"models of their own of {few}: they have none, the fallback answers")
    return said
