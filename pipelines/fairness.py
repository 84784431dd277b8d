"""The largest difference between groups that an evaluation found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GAP = "(gap)"
"""The group whose row holds the gap of its column; see `components.entity_evaluator.tables`."""
_SHARES = ("accuracy", "recall", "positive_rate", "false_positive_rate")
"""Metrics of one unit, so that their gaps can be compared."""


def largest_gap(file: Path) -> dict[str, Any]:
    """Reads a fairness.parquet.

    Returns:
      Nothing if no column was declared, else path; and, if two groups were large enough to be
      compared: column, metric, gap, highest and lowest (group and value each).
    """
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    if not rows:
        return {}
    metrics = [name for name in _SHARES if name in rows[0]] or ["mae"]
    gaps = [
        (row[metric], row["column"], metric)
        for row in rows
        if row["group"] == GAP
        for metric in metrics
        if row.get(metric) is not None
    ]
    if not gaps:
        return {"path": str(file)}
    gap, column, metric = max(gaps)
    groups = [(row[metric], row["group"]) for row in _compared(rows, column, metric)]
    (highest, most), (lowest, least) = max(groups), min(groups)
    return {
        "column": column,
        "metric": metric,
        "gap": gap,
        "highest": {"group": most, "value": highest},
        "lowest": {"group": least, "value": lowest},
        "path": str(file),
    }


def _compared(
    rows: Sequence[Mapping[str, Any]], column: str, metric: str
) -> list[Mapping[str, Any]]:
    """The groups behind a gap: a reason says why another one is not."""
    groups = [row for row in rows if row["column"] == column and row["group"] != GAP]
    return [row for row in groups if not row["reason"] and row[metric] is not None]
