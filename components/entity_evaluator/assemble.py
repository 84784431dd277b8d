"""Puts the contest together from the stores and the predicted rows, and checks its outcome."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.entity_evaluator.contest import HELD, NEW, NONE, REFRESH, Contest
from components.entity_evaluator.metrics import Groups, Outcomes, all_failed, merge, row_losses
from components.entity_evaluator.scores import EvaluatedRows
from components.entity_evaluator.verdicts import Verdicts
from components.entity_models.store import EntityModels
from components.errors import BeamfleetError


def contest_of(
    candidate: EntityModels,
    pushed: EntityModels | None,
    rows: EvaluatedRows,
    fallback: Outcomes | None,
    metric: str,
) -> Contest:
    """Lines up the models that compete for every entity of the rows and of both stores."""
    ours = _index(candidate)
    theirs = {e: row for e, row in _index(pushed).items() if row["status"] == "trained"}
    entities = sorted({*rows.entities, *ours, *theirs})
    position = {entity: i for i, entity in enumerate(entities)}
    renumbered = np.array([position[entity] for entity in rows.entities], dtype=np.int64)
    told = [_situation(ours.get(entity), theirs.get(entity)) for entity in entities]
    return Contest(
        entities=entities,
        groups=Groups(renumbered[rows.groups.code], len(entities)),
        own=rows.outcomes["candidate"],
        fallback=fallback,
        pushed=rows.outcomes.get("pushed"),
        situation=np.array([situation for situation, _ in told], dtype=np.int64),
        note=[note for _, note in told],
        metric=metric,
    )


def _situation(ours: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> tuple[int, str]:
    """What own models an entity has, and what the candidate's index says about it."""
    if ours is None or ours["status"] != "trained":
        said = f"{ours['status']}: {ours['reason']}" if ours else "entity unseen in training"
        return (HELD if theirs else NONE), f"no own model in the candidate ({said})"
    if theirs is None:
        return NEW, ""
    if ours["sha256"] == theirs["sha256"]:
        return HELD, "unchanged"
    return REFRESH, ""


def served(contest: Contest, verdicts: Verdicts) -> Outcomes:
    """(rows,) predictions of the new version, put together from those of its parts."""
    nothing = all_failed(contest.own)
    choices = {
        "candidate": contest.own,
        "pushed": contest.pushed or nothing,
        "fallback": contest.fallback or nothing,
    }
    names = list(choices)
    which = np.array([names.index(name) for name in verdicts.serves], dtype=np.int64)
    return merge(which[contest.groups.code], list(choices.values()))


def check_agreement(
    rows: EvaluatedRows, composed: Outcomes, whole: EvaluatedRows, metric: str
) -> None:
    """The composed store must predict exactly what the verdicts were made on."""
    expected = _losses_by_entity(rows, composed, metric)
    found = _losses_by_entity(whole, whole.outcomes["composed"], metric)
    if rows.entities != whole.entities or not np.array_equal(rows.groups.rows, whole.groups.rows):
        raise BeamfleetError("the composed version was evaluated on other rows than its parts")
    different = np.flatnonzero(~np.isclose(expected, found, rtol=1e-6, atol=1e-9))
    if len(different):
        raise BeamfleetError(
            f"the composed version predicts entity {rows.entities[different[0]]!r} otherwise than "
            f"the model that it was composed from ({len(different)} such entities); models whose "
            "predictions change from call to call cannot be evaluated"
        )


def _losses_by_entity(
    rows: EvaluatedRows, outcomes: Outcomes, metric: str
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return rows.groups.sum(np.nan_to_num(row_losses(outcomes, metric)))


def _index(store: EntityModels | None) -> dict[str, dict[str, Any]]:
    if store is None:
        return {}
    columns = ["kind", "entity", "status", "reason", "sha256"]
    rows = store.index().select(columns).to_pylist()
    return {row["entity"]: row for row in rows if row["kind"] == "entity"}
