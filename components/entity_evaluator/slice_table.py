"""Metrics of every slice, of the evaluated and of the current model side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.intervals import intervals
from components.entity_evaluator.metrics import Floats, Groups, Outcomes, measure

SLICES_FILE = "slices.parquet"
_ENDS = ("low", "high")


def slice_table(
    outcomes: Mapping[str, Outcomes],
    extra: pa.Table,
    config: EvaluationConfig,
    metrics: Sequence[str],
) -> pa.Table:
    """One row overall and one a slice, in the order of the slicings and then of the values.

    Columns: slice ("company=A, trip_start_hour=3"), columns, values, rows, and for each metric
    `<metric>`, `<metric>_low` and `<metric>_high` (the evaluated model and its interval), and
    `pushed_<metric>` or `blessed_<metric>` (the current model); null where it is undefined.

    Args:
      outcomes: By model: "" is the evaluated one, `pushed` or `blessed` the current one.
      extra: (rows,) words of the slice columns.
      config: Its slices and confidence.
      metrics: What to measure.
    """
    tables = []
    for columns in ((), *config.slices):
        names, groups = _groups(extra, columns)
        rows: dict[str, Any] = {
            "slice": pa.array([_words(columns, values) for values in names], pa.string()),
            "columns": pa.array([list(columns)] * len(names), pa.list_(pa.string())),
            "values": pa.array([list(values) for values in names], pa.list_(pa.string())),
            "rows": pa.array(groups.rows),
        }
        for metric, ends in intervals(outcomes[""], groups, metrics, config.confidence).items():
            rows |= {f"{metric}_{end}": _nullable(v) for end, v in zip(_ENDS, ends, strict=True)}
        for model, found in outcomes.items():
            prefix = f"{model}_" if model else ""
            for metric, values in measure(found, groups, metrics).items():
                rows[f"{prefix}{metric}"] = _nullable(values)
        tables.append(pa.table(rows))
    return pa.concat_tables(tables)


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _groups(extra: pa.Table, columns: tuple[str, ...]) -> tuple[list[tuple[str, ...]], Groups]:
    if not columns:
        return [()], Groups.single(extra.num_rows)
    words = list(zip(*(extra.column(name).to_pylist() for name in columns), strict=True))
    names = sorted(set(words))
    place = {values: number for number, values in enumerate(names)}
    return names, Groups(np.array([place[one] for one in words], np.int64), len(names))


def _words(columns: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ", ".join(f"{c}={v}" for c, v in zip(columns, values, strict=True)) or "overall"
