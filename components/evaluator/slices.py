"""Metrics of every slice, of the candidate and of the pushed model side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.metrics import Groups, Outcomes, measure


def slice_table(
    outcomes: Mapping[str, Outcomes], extra: pa.Table, config: EvaluationConfig, task: str
) -> pa.Table:
    """One row overall and one a slice, in the order of the slicings and then of the values.

    Columns: slice ("company=A, trip_start_hour=3"), columns, values, rows, and for each metric
    and each model `<metric>` (the candidate) and `pushed_<metric>`; null where it is undefined.

    Args:
      outcomes: By model: candidate, and pushed where there is one.
      extra: (rows,) words of the slice columns.
      config: Its slices and metrics.
      task: `classification` or `regression`.
    """
    metrics = config.metrics_for(task)
    tables = []
    for columns in ((), *config.slices):
        names, groups = _groups(extra, columns)
        rows: dict[str, Any] = {
            "slice": pa.array([_words(columns, values) for values in names], pa.string()),
            "columns": pa.array([list(columns)] * len(names), pa.list_(pa.string())),
            "values": pa.array([list(values) for values in names], pa.list_(pa.string())),
            "rows": pa.array(groups.rows),
        }
        for model, found in outcomes.items():
            prefix = "" if model == "candidate" else f"{model}_"
            for metric, values in measure(found, groups, metrics).items():
                rows[f"{prefix}{metric}"] = pa.array(values, mask=np.isnan(values))
        tables.append(pa.table(rows))
    return pa.concat_tables(tables)


def _groups(extra: pa.Table, columns: tuple[str, ...]) -> tuple[list[tuple[str, ...]], Groups]:
    if not columns:
        return [()], Groups.single(extra.num_rows)
    words = list(zip(*(extra.column(name).to_pylist() for name in columns), strict=True))
    names = sorted(set(words))
    place = {values: number for number, values in enumerate(names)}
    return names, Groups(np.array([place[one] for one in words], np.int64), len(names))


def _words(columns: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ", ".join(f"{c}={v}" for c, v in zip(columns, values, strict=True)) or "overall"
