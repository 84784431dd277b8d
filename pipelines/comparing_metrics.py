"""How metrics changed from one run to another: overall, of slices and of entities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.entity_evaluator.config import goodness
from pipelines.entities import Entity, served_value

_GAP = "(gap)"
_COUNTS = ("rows", "rows_evaluated")
_SAME = 1e-12
"""Differences of floating-point sums."""


@dataclass(frozen=True)
class MetricChange:
    """One metric of one model, such as `candidate` or `majority`."""

    model: str
    metric: str
    a: float | None
    b: float | None
    difference: float | None
    """b - a; None where one is missing."""


@dataclass(frozen=True)
class SliceChange:
    """One metric of one slice, or of a group that is compared for fairness."""

    slice: str
    metric: str
    rows_a: int | None
    rows_b: int | None
    a: float | None
    b: float | None
    difference: float | None


@dataclass(frozen=True)
class EntityChange:
    """What became of one entity; None where a run does not have it."""

    entity: str
    metric: str
    rows_a: int | None
    rows_b: int | None
    a: float | None
    """The decision metric of the model that serves the entity."""
    b: float | None
    difference: float | None
    verdict_a: str | None
    verdict_b: str | None


def metric_changes(
    a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]
) -> tuple[MetricChange, ...]:
    """All metrics of all models, also those that are the same.

    Args:
      a: Model -> metric -> value.
      b: The same of the other run.
    """
    return tuple(
        MetricChange(model, metric, *_pair(a.get(model, {}), b.get(model, {}), metric))
        for model in dict.fromkeys((*a, *b))
        for metric in dict.fromkeys((*a.get(model, {}), *b.get(model, {})))
    )


def slice_changes(a: Path | None, b: Path | None) -> tuple[tuple[SliceChange, ...], int]:
    """The metrics of slices that differ, worst first, and the number of slices.

    Args:
      a: Folder of an evaluation, or None.
      b: That of the other run.
    """
    ours, theirs = _slices(a), _slices(b)
    changes = [
        change
        for name in dict.fromkeys((*ours, *theirs))
        for change in _slice(name, ours.get(name, {}), theirs.get(name, {}))
        if _differs(change.a, change.b)
    ]
    order = sorted(changes, key=_badness)
    return tuple(order), len(ours | theirs)


def entity_changes(
    a: Sequence[Entity], b: Sequence[Entity]
) -> tuple[tuple[EntityChange, ...], int]:
    """The entities that differ, worst first, and the number of entities."""
    ours, theirs = ({entity["entity"]: entity for entity in side} for side in (a, b))
    changes = [
        _entity(name, ours.get(name), theirs.get(name)) for name in dict.fromkeys((*ours, *theirs))
    ]
    changed = [c for c in changes if c.verdict_a != c.verdict_b or _differs(c.a, c.b)]
    order = sorted(changed, key=lambda c: (*_badness(c), c.entity))
    return tuple(order), len(changes)


def _slices(evaluation: Path | None) -> dict[str, dict[str, Any]]:
    """Slice -> column -> value: the slices, and the groups compared for fairness."""
    import pyarrow.parquet as pq

    found: dict[str, dict[str, Any]] = {}
    for name in ("slices.parquet", "fairness.parquet"):
        file = evaluation / name if evaluation else None
        for row in pq.read_table(file).to_pylist() if file and file.exists() else ():
            if row.get("group") != _GAP and row.get("columns", [""]):
                slice_ = row.get("slice") or f"{row['column']}={row['group']}"
                found[slice_] = {**row, **found.get(slice_, {})}  # a group may be a slice as well
    return found


def _slice(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[SliceChange]:
    rows_a, rows_b = (
        next((side[n] for n in _COUNTS if n in side), None) for side in (ours, theirs)
    )
    metrics = [
        key
        for key in dict.fromkeys((*ours, *theirs))
        if isinstance(ours.get(key, theirs.get(key)), float) and not key.endswith(("_low", "_high"))
    ]
    return [SliceChange(name, key, rows_a, rows_b, *_pair(ours, theirs, key)) for key in metrics]


def _entity(name: str, ours: Entity | None, theirs: Entity | None) -> EntityChange:
    values = [served_value(side) if side else None for side in (ours, theirs)]
    same_metric = not ours or not theirs or ours["metric"] == theirs["metric"]
    return EntityChange(
        entity=name,
        metric=str((theirs or ours or {})["metric"]),
        rows_a=ours["rows"] if ours else None,
        rows_b=theirs["rows"] if theirs else None,
        a=values[0],
        b=values[1],
        difference=_difference(*values) if same_metric else None,
        verdict_a=ours["verdict"] if ours else None,
        verdict_b=theirs["verdict"] if theirs else None,
    )


def _pair(
    a: Mapping[str, Any], b: Mapping[str, Any], name: str
) -> tuple[float | None, float | None, float | None]:
    return a.get(name), b.get(name), _difference(a.get(name), b.get(name))


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else b - a


def _differs(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is not b
    return not abs(a - b) <= _SAME


def improvement(metric: str, a: float, b: float) -> float:
    """By how much b is better than a; below 0 it is worse."""
    name = metric.removeprefix("pushed_").removeprefix("blessed_")  # of the current model
    return goodness(name, b) - goodness(name, a)


def _badness(change: SliceChange | EntityChange) -> tuple[bool, float]:
    """Worst first; what cannot be told last."""
    if change.a is None or change.b is None or change.difference is None:
        return True, 0.0
    return False, improvement(change.metric, change.a, change.b)
