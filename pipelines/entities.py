"""The entities of an evaluation, worst first, and the few of many that are worth a look."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.entity_evaluator.config import LOWER_IS_BETTER

LISTED = 20
"""Up to so many entities are all listed."""
PICKED = 5
"""So many of each kind are listed of more."""

Entity = Mapping[str, Any]
"""A row of entities.parquet: entity, rows, metric, value, baseline, verdict, serves, ..."""
_COLUMNS = [
    "entity", "rows", "metric", "value", "baseline", "fallback_value", "majority_value",
    "verdict", "serves", "p_value", "reason",
]  # fmt: skip


def read_entities(file: Path) -> tuple[Entity, ...]:
    """Reads an entities.parquet, worst first."""
    import pyarrow.parquet as pq

    return tuple(sorted(pq.read_table(file, columns=_COLUMNS).to_pylist(), key=_badness))


def entity_name(key: str, columns: Sequence[str]) -> str:
    """How a key is shown: that of several columns is a JSON array of texts."""
    parts: list[str] = json.loads(key) if len(columns) > 1 else [key]
    return " / ".join(parts)


def serves_own(entity: Entity) -> bool:
    """Whether a model of the entity's own serves it, a new one or one pushed earlier."""
    return entity["serves"] in ("candidate", "pushed")


def served_value(entity: Entity) -> float | None:
    """The metric of the model that serves the entity from now on."""
    column = {"candidate": "value", "pushed": "baseline"}.get(entity["serves"], "fallback_value")
    value = entity[column]
    return None if value is None else float(value)


def gain(entity: Entity) -> float:
    """Rows times how much better the entity's own model is than the fallback; 0 without one."""
    own, fallback = served_value(entity), entity["fallback_value"]
    if not serves_own(entity) or own is None or fallback is None:
        return 0.0
    better: float = _sign(entity) * (own - fallback)
    return better * int(entity["rows"])


@dataclass(frozen=True)
class Pick:
    """What is shown of many entities."""

    worst: tuple[Entity, ...]
    """Of those with enough rows to be judged alone, if there are any; worst first."""
    of: int
    """Among how many these are the worst."""
    gains: tuple[Entity, ...]
    """Own models with the largest gain, largest first."""
    small: tuple[Entity, ...]
    """Entities with too few rows to be judged alone; empty if all are small."""


def pick(entities: Sequence[Entity], min_rows: int) -> Pick:
    """Picks from entities in the order of `read_entities`.

    Args:
      entities: All of them.
      min_rows: The evaluation's min_eval_rows.
    """
    large = [entity for entity in entities if entity["rows"] >= min_rows]
    small = [entity for entity in entities if entity["rows"] < min_rows] if large else []
    judged = large or entities
    gaining = sorted((e for e in judged if gain(e) > 0), key=gain, reverse=True)
    return Pick(tuple(judged[:PICKED]), len(judged), tuple(gaining[:PICKED]), tuple(small))


def mean_over_rows(
    entities: Sequence[Entity], value: Callable[[Entity], float | None]
) -> float | None:
    """The decision metric over all rows of these: it is a mean over rows by nature."""
    known = [(entity["rows"], v) for entity in entities if (v := value(entity)) is not None]
    rows = sum(count for count, _ in known)
    return sum(count * v for count, v in known) / rows if rows else None


def _badness(entity: Entity) -> tuple[bool, float, str]:
    """Worst first, entities without a value last, ties by name."""
    value = served_value(entity)
    if value is None:
        return True, 0.0, entity["entity"]
    return False, _sign(entity) * value, entity["entity"]


def _sign(entity: Entity) -> int:
    return -1 if entity["metric"] in LOWER_IS_BETTER else 1
