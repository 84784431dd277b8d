"""The table of entities, as the page's script takes it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from components.entity_evaluator.config import LOWER_IS_BETTER
from components.printable import printable
from pipelines.entities import entity_name, served_value
from pipelines.report.markup import shortened
from pipelines.report.source import Source
from pipelines.report.words import metric_name

BUDGET = 3_000_000
"""Bytes of rows in the page; the worst entities are in it, and the page says so."""
_NAME, _REASON = 120, 200
"""Characters."""
_OWN = frozenset(
    ("entity", "verdict", "serves", "metric", "value", "baseline", "fallback_value",
     "majority_value", "rows", "p_value", "reason", "rows_failed")
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One column of the table."""

    name: str
    title: str
    kind: str
    """text, word (few different ones), count, metric, change or p."""
    better: int = 0
    """1: more is better, -1: less is, 0: neither."""


@dataclass(frozen=True)
class EntityTable:
    """All entities, worst first."""

    metric: str
    """By which the verdicts were made."""
    fields: tuple[Field, ...]
    rows: list[list[Any]]
    shown: int
    """So many of the rows, the worst, fit into the page."""

    def column(self, name: str) -> list[Any]:
        """Values of a column, or nothing if there is none."""
        place = next((i for i, field in enumerate(self.fields) if field.name == name), None)
        return [] if place is None else [row[place] for row in self.rows]


@lru_cache(maxsize=1)  # several sections show some of it
def read_table(source: Source) -> EntityTable | None:
    """The entities of the run's evaluation with the metrics of each; None: there are none."""
    import pyarrow.parquet as pq

    file = source.file("EntityEvaluator", "evaluation", "entities.parquet")
    entities = source.summary.entities
    if file is None or not entities:
        return None
    schema = pq.read_schema(file)
    others = [f.name for f in schema if f.name not in _OWN and str(f.type) in ("double", "float")]
    more: Mapping[str, Mapping[str, Any]] = {}
    if others:
        table = pq.read_table(file, columns=["entity", *others])
        more = {row["entity"]: row for row in table.to_pylist()}
    metric = str(entities[0]["metric"])
    models, columns = _models(source), source.summary.entity_columns
    rows = []
    for entity in entities:
        key = entity["entity"]
        rows.append(
            {
                **entity,
                **more.get(key, {}),
                **models.get(key, {}),
                "name": display_name(key, columns),
                "served": served_value(entity),
                "reason": shortened(printable(entity["reason"] or ""), _REASON),
            }
        )
    # The decision metric is there as `served` already.
    return _table(metric, [name for name in others if name != metric], rows)


def display_name(key: str, columns: Sequence[str]) -> str:
    """An entity as the page names it, whatever its key is."""
    try:
        name = entity_name(key, columns)
    except (ValueError, TypeError):
        name = key
    return shortened(printable(name), _NAME)


def _models(source: Source) -> dict[str, dict[str, Any]]:
    """Entity -> what the trainer says of it: rows it was trained on, CPU seconds of the fit."""
    import pyarrow.parquet as pq

    found: dict[str, dict[str, Any]] = {}
    for name, column, title in (
        ("index.parquet", "rows", "rows_trained"),
        ("costs.parquet", "fit_cpu_seconds", "fit_cpu_seconds"),
    ):
        file = source.file("EntityTrainer", "model", name)
        if file is None:
            continue
        for row in pq.read_table(file, columns=["kind", "entity", column]).to_pylist():
            if row["kind"] == "entity":
                found.setdefault(row["entity"], {})[title] = row[column]
    return found


def _table(metric: str, others: Sequence[str], rows: list[dict[str, Any]]) -> EntityTable:
    sign = -1 if metric in LOWER_IS_BETTER else 1
    against = "baseline" if any(row["baseline"] is not None for row in rows) else "fallback_value"
    words = "current" if against == "baseline" else "fallback"
    for row in rows:
        served, other = row["served"], row[against]
        row["change"] = None if served is None or other is None else served - other
    fields = [
        Field("name", "entity", "text"),
        Field("verdict", "verdict", "word"),
        Field("serves", "served by", "word"),
        Field("rows", "rows", "count"),
        Field("served", f"{metric_name(metric)}, served", "metric", sign),
        Field("change", f"change to {words}", "change", sign),
        Field("value", "own model", "metric", sign),
        Field("baseline", "current model", "metric", sign),
        Field("fallback_value", "fallback", "metric", sign),
        Field("p_value", "p", "p"),
        *(Field(n, metric_name(n), "metric", -1 if n in LOWER_IS_BETTER else 1) for n in others),
        Field("rows_trained", "rows trained", "count"),
        Field("fit_cpu_seconds", "fit CPU seconds", "metric"),
        Field("reason", "reason", "text"),
    ]
    filled = tuple(f for f in fields if any(row.get(f.name) is not None for row in rows))
    cells = [[_compact(row.get(field.name)) for field in filled] for row in rows]
    return EntityTable(metric, filled, cells, _fitting(cells))


def _compact(value: Any) -> Any:
    """Five digits are enough to look at; JSON knows no NaN."""
    if isinstance(value, float):
        finite = value == value and abs(value) != float("inf")
        return float(f"{value:.5g}") if finite else None
    return value


def _fitting(rows: Sequence[list[Any]]) -> int:
    left = BUDGET
    for number, row in enumerate(rows):
        left -= len(json.dumps(row)) + 1
        if left < 0:
            return number
    return len(rows)
