"""`beamfleet features list`: what is registered."""

import argparse
import json

from components.feature_registry.records import KINDS, Record
from components.printable import printable
from pipelines.feature_stores import registry_of
from pipelines.render import console, escaped, plain_table

_TEXT = 60
_FEATURES = 4


def main(arguments: argparse.Namespace) -> int:
    """Prints a table, or the records as JSON."""
    registry = registry_of(arguments.store)
    records = registry.records(arguments.kind, all_versions=arguments.all_versions)
    if arguments.json:
        print(json.dumps([document(one) for one in records]))
        return 0
    table = plain_table("kind", "name", "version", "owner", "features", "description",
                        right=("version",))  # fmt: skip
    for one in records:
        table.add_row(*map(cell, (KINDS[one.kind], one.name, str(one.version), one.owner,
                                  _features(one), one.description)))  # fmt: skip
    console().print(table)
    return 0


def document(record: Record) -> dict[str, object]:
    """A record as JSON, without its definition."""
    return {
        "kind": record.kind,
        "name": record.name,
        "version": record.version,
        "owner": record.owner,
        "description": record.description,
        "schema": dict(record.schema),
        **record.facts,
        "fingerprint": record.fingerprint,
        "applied": record.applied,
        "changed": record.changed,
    }


def cell(text: str) -> str:
    """A line of text of data in a table."""
    line = printable(text)
    return escaped(line if len(line) <= _TEXT else f"{line[: _TEXT - 3]}...")


def _features(record: Record) -> str:
    names = [name for name, _ in record.schema]
    more = f" and {len(names) - _FEATURES} more" if len(names) > _FEATURES else ""
    return ", ".join(names[:_FEATURES]) + more
