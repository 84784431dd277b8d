"""The tables of an evaluation: entities, and groups compared for fairness."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.entity_evaluator.contest import Contest
from components.entity_evaluator.metrics import (
    Classified,
    Floats,
    Groups,
    Ints,
    Outcomes,
    Regressed,
    confusion_cells,
    constant,
    measure,
    ratio,
    why_undefined,
)
from components.entity_evaluator.verdicts import Verdicts

CELL = pa.struct([("label", pa.string()), ("predicted", pa.string()), ("count", pa.int64())])
GAP = "(gap)"


def entity_table(
    contest: Contest,
    verdicts: Verdicts,
    composed: Outcomes,
    has_own: Sequence[bool],
    metrics: Sequence[str],
    class_names: Sequence[str],
) -> pa.Table:
    """One row an entity.

    Columns: entity; verdict; serves; metric (name of the decision metric) and its value for the
    candidate's own model (`value`), the pushed version (`baseline`), the fallback
    (`fallback_value`) and the entity's best constant (`majority_value`); rows; p_value (adjusted);
    reason; rows_failed; each metric by name, of what serves from now on; `undefined`, which says
    why a metric is null; confusion, the non-empty cells of the confusion matrix of what serves.
    """
    groups, metric = contest.groups, contest.metric

    def value(outcomes: Outcomes | None) -> pa.Array:
        if outcomes is None:
            return pa.nulls(groups.size, pa.float64())
        return _nullable(measure(outcomes, groups, [metric])[metric])

    own = pc.if_else(pa.array(has_own, pa.bool_()), value(contest.own), None)
    served = measure(composed, groups, metrics)
    columns = {
        "entity": pa.array(contest.entities, pa.string()),
        "verdict": pa.array(verdicts.verdict, pa.string()),
        "serves": pa.array(verdicts.serves, pa.string()),
        "metric": pa.array([metric] * groups.size, pa.string()),
        "value": own,
        "baseline": value(contest.pushed),
        "fallback_value": value(contest.fallback),
        "majority_value": value(constant(composed, groups)),
        "rows": pa.array(groups.rows),
        "p_value": _nullable(verdicts.p_value),
        "reason": pa.array(verdicts.reason, pa.string()),
        "rows_failed": pa.array(groups.count(composed.failed)),
        **{name: _nullable(values) for name, values in served.items()},
        "undefined": pa.array(_undefined(served, groups.rows), pa.string()),
    }
    if isinstance(composed, Classified):
        columns["confusion"] = _confusion(composed, groups, class_names)
    return pa.table(columns)


def metrics_json(table: pa.Table, metrics: Sequence[str]) -> dict[str, str]:
    """Evaluation metrics of each entity as the JSON that the index of the new version holds."""
    rows = table.select(["entity", "rows", *metrics]).to_pylist()
    return {row.pop("entity"): json.dumps(row, sort_keys=True) for row in rows}


def fairness_table(
    composed: Outcomes, extra: pa.Table, columns: Sequence[str], min_rows: int
) -> pa.Table:
    """Groups of each column, and the gaps between them.

    Columns: column; group; rows; accuracy, recall, positive_rate and false_positive_rate (of two
    classes), or mse, mae and mean_prediction; reason. The row of the group "(gap)" holds largest
    minus smallest value over the groups of at least `min_rows` rows: a gap to a handful of rows
    is chance. It is null where fewer than two groups are left.
    """
    tables = [_groups_of(column, composed, extra.column(column), min_rows) for column in columns]
    return pa.concat_tables(tables, promote_options="default") if tables else _EMPTY


def _groups_of(column: str, composed: Outcomes, words: pa.ChunkedArray, min_rows: int) -> pa.Table:
    names = sorted(pc.unique(words).to_pylist())
    code = pc.index_in(words, value_set=pa.array(names, pa.string())).to_numpy().astype(np.int64)
    groups = Groups(code, len(names))
    large = groups.rows >= min_rows
    values = _fairness_values(composed, groups)
    gaps = {name: _gap(measured[large]) for name, measured in values.items()}
    reasons = ["" if enough else f"fewer than {min_rows} rows: not in the gap" for enough in large]
    return pa.table(
        {
            "column": pa.array([column] * (len(names) + 1)),
            "group": pa.array([*names, GAP]),
            "rows": pa.array([*groups.rows, groups.rows.sum()], pa.int64()),
            **{name: _nullable(np.append(values[name], gaps[name])) for name in values},
            "reason": pa.array([*reasons, f"over {int(large.sum())} groups"]),
        }
    )


def _fairness_values(composed: Outcomes, groups: Groups) -> dict[str, Floats]:
    if isinstance(composed, Regressed):
        valid = ~composed.failed
        mean = groups.select(valid).mean(composed.predicted[valid])
        return {**measure(composed, groups, ["mse", "mae"]), "mean_prediction": mean}
    values = measure(composed, groups, ["accuracy", "recall"])
    if composed.positive is None:
        return values
    chosen = composed.predicted == composed.positive
    negative = composed.label != composed.positive
    return {
        **values,
        "positive_rate": ratio(groups.count(chosen), groups.rows),
        "false_positive_rate": ratio(groups.count(chosen & negative), groups.count(negative)),
    }


def _gap(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.max() - defined.min()) if len(defined) > 1 else float("nan")


def _confusion(composed: Classified, groups: Groups, class_names: Sequence[str]) -> pa.Array:
    names = pa.array([*class_names, "(other label)", "(failed)"], pa.string())
    entity, label, predicted, count = confusion_cells(composed, groups)
    fields = [names.take(pa.array(label)), names.take(pa.array(predicted)), pa.array(count)]
    cells = pa.StructArray.from_arrays(fields, fields=list(CELL))
    starts = np.searchsorted(entity, np.arange(groups.size + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(starts, cells)


def _undefined(served: Mapping[str, Floats], rows: Ints) -> list[str | None]:
    """(entities,) why metrics are null; null where none is."""
    reasons: list[list[str]] = [[] for _ in rows]
    for metric, values in served.items():
        for entity in np.flatnonzero(np.isnan(values)):
            reasons[entity].append(why_undefined(metric))
    return [
        "no evaluated rows" if not count else "; ".join(reason) or None
        for reason, count in zip(reasons, rows, strict=True)
    ]


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)


_EMPTY = pa.table({"column": pa.array([], pa.string()), "group": pa.array([], pa.string())})
