"""Several candidates on the same rows: which of them is the best that may be pushed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.entity_evaluator.config import EvaluationConfig, goodness
from components.entity_evaluator.gate import Overall, objections
from components.entity_evaluator.intervals import intervals
from components.entity_evaluator.metrics import constant, measure

CANDIDATES_FILE = "candidates.parquet"
Ends = tuple[float, float] | None


@dataclass(frozen=True)
class Judged:
    """One candidate and what the gate says of it."""

    name: str
    uri: str
    overall: Overall
    objections: list[str]
    """Empty: it may be pushed."""

    @classmethod
    def of(cls, name: str, uri: str, overall: Overall, config: EvaluationConfig) -> "Judged":
        """Holds a candidate against the thresholds and the current model."""
        return cls(name, uri, overall, objections(overall, config))

    def intervals(self, confidence: float) -> dict[str, Ends]:
        """By metric; None where there is none."""
        names = tuple(dict.fromkeys((self.overall.metric, *self.overall.metrics)))
        found = intervals(self.overall.composed, self.overall.groups, names, confidence)
        return {
            metric: (float(low[0]), float(high[0])) if math.isfinite(low[0] + high[0]) else None
            for metric, (low, high) in found.items()
        }


def best(judged: Sequence[Judged], metric: str) -> Judged:
    """The best by a metric of those that pass; if none passes, the best of all.

    Of equal ones it is the first by name.
    """
    passing = [one for one in judged if not one.objections] or list(judged)

    def rank(one: Judged) -> tuple[float, str]:
        [value] = measure(one.overall.composed, one.overall.groups, [metric])[metric]
        good = goodness(metric, float(value))
        return (math.inf if math.isnan(good) else -good), one.name

    return min(passing, key=rank)


def why_none(judged: Sequence[Judged]) -> list[str]:
    """The objections to each candidate; empty where one passes."""
    if any(not one.objections for one in judged):
        return []
    if len(judged) == 1:
        return judged[0].objections
    return [f"{one.name}: {reason}" for one in judged for reason in one.objections]


def candidate_table(judged: Sequence[Judged], chosen: Judged, config: EvaluationConfig) -> pa.Table:
    """One row a candidate in the order of their names, then the current model and the constant.

    Columns: name; role (`candidate`, `pushed`, `blessed` or `constant`); chosen and passes (null
    but for candidates); reason, why it does not pass; uri; rows; rows_failed; each metric, first
    the one that chooses, its `<metric>_low` and `<metric>_high`, null where undefined.
    """
    first = judged[0].overall
    rows = [
        {
            "role": "candidate",
            "chosen": one is chosen,
            "passes": not one.objections,
            "reason": "; ".join(one.objections),
            **_figures(one, config.confidence),
        }
        for one in sorted(judged, key=lambda one: one.name)
    ]
    others = {first.role: first.pushed, "constant": constant(first.composed, first.groups)}
    for role, outcomes in others.items():
        if outcomes is not None:
            other = Overall(outcomes, None, None, first.metric, first.metrics, "")
            rows.append({"role": role, **_figures(Judged(role, "", other, []), config.confidence)})
    return pa.Table.from_pylist(rows, schema=_schema(first))


def _figures(one: Judged, confidence: float) -> dict[str, object]:
    overall = one.overall
    values = overall.values()["composed"]
    ends = one.intervals(confidence)
    figures: dict[str, object] = {
        "name": one.name,
        "uri": one.uri,
        "rows": len(overall.composed.label),
        "rows_failed": int(overall.composed.failed.sum()),
    }
    for metric, value in values.items():
        low, high = ends[metric] or (None, None)
        figures |= {metric: _known(value), f"{metric}_low": low, f"{metric}_high": high}
    return figures


def _schema(overall: Overall) -> pa.Schema:
    metrics = dict.fromkeys((*overall.metrics, overall.metric))
    return pa.schema(
        [
            ("name", pa.string()),
            ("role", pa.string()),
            ("chosen", pa.bool_()),
            ("passes", pa.bool_()),
            ("reason", pa.string()),
            ("uri", pa.string()),
            ("rows", pa.int64()),
            ("rows_failed", pa.int64()),
            *((f"{m}{end}", pa.float64()) for m in metrics for end in ("", "_low", "_high")),
        ]
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
