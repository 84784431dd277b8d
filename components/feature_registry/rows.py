"""Between records and rows of the database."""

import json
import sqlite3
from collections import defaultdict
from dataclasses import replace
from typing import Any

from components.feature_registry.records import Record, Use


def from_row(row: sqlite3.Row) -> Record:
    """Without `uses`."""
    values: dict[str, Any] = dict(row)
    for name in ("schema", "facts", "definition"):
        values[name] = json.loads(values[name])
    values["schema"] = tuple((name, kind) for name, kind in values["schema"])
    return Record(**values)


def to_row(record: Record) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    return (
        record.kind, record.name, record.version, record.owner, record.description,
        json.dumps(record.schema), json.dumps(record.facts), record.fingerprint,
        json.dumps(record.definition), record.applied, record.changed,
    )  # fmt: skip


def with_uses(connection: sqlite3.Connection, records: list[Record]) -> list[Record]:
    """The records with what they read."""
    by: dict[tuple[str, str, int], list[Use]] = defaultdict(list)
    query = (
        "SELECT by_kind, by_name, by_version, kind, name, version, features FROM uses "
        "ORDER BY by_kind, by_name, by_version, place"
    )
    if len(records) == 1:
        [one] = records
        query = query.replace("FROM uses", "FROM uses WHERE by_kind = ? AND by_name = ?")
        rows = connection.execute(query, (one.kind, one.name))
    else:
        rows = connection.execute(query)
    for row in rows:
        use = Use(row["kind"], row["name"], row["version"], tuple(json.loads(row["features"])))
        by[row["by_kind"], row["by_name"], row["by_version"]].append(use)
    return [
        replace(one, uses=tuple(by.get((one.kind, one.name, one.version), ()))) for one in records
    ]
