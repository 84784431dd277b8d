"""The join by its definition, label by label."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from components.feature_join.rules import Rules

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def joined_naively(labels: pl.DataFrame, log: pl.DataFrame, rules: Rules) -> list[tuple[Any, ...]]:
    rows = [row for row in log.to_dicts() if all(row[key] is not None for key in rules.keys)]
    return [(*label.values(), *_features(label, rows, rules)) for label in labels.to_dicts()]


def _features(label: Row, rows: list[Row], rules: Rules) -> list[Any]:
    nothing: list[Any] = [None] * len(rules.features)
    if label[rules.label_time] is None:
        return nothing
    at = _us(label[rules.label_time]) - rules.offset_us
    best: Row | None = None
    for row in rows:
        if any(row[key] != label[key] for key in rules.keys) or row[rules.time] is None:
            continue
        seen_from = _us(row[rules.time])
        if rules.as_known and row["created"] is not None:
            seen_from = max(seen_from, _us(row["created"]))
        if not (seen_from < at or (seen_from == at and rules.boundary == "inclusive")):
            continue
        if best is None or _order(row, rules) >= _order(best, rules):
            best = row
    if best is None or (rules.ttl_us is not None and at - _us(best[rules.time]) > rules.ttl_us):
        return nothing
    return [best[name] for name in rules.features]


def _order(row: Row, rules: Rules) -> tuple[Any, ...]:
    created = row.get("created")
    return _us(row[rules.time]), created is not None, _us(created) if created else 0


def _us(time: Any) -> int:
    return int((time - EPOCH) // timedelta(microseconds=1))
