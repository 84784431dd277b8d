"""`beamfleet features diff`: what two versions differ in."""

import argparse
import json
from dataclasses import asdict

from components.feature_registry.difference import Difference, differences
from components.feature_registry.records import Record
from pipelines.feature_stores import registry_of
from pipelines.render import shown


def main(arguments: argparse.Namespace) -> int:
    """Prints the differences of the definitions, then of what does not change the values."""
    registry = registry_of(arguments.store)
    one = registry.get(arguments.name, arguments.a)
    other = registry.get(arguments.name, arguments.b, one.kind)
    meaning = differences(one.definition, other.definition)
    besides = differences(_besides(one), _besides(other))
    if arguments.json:
        documents = [{**asdict(d), "changes_values": d in meaning} for d in (*meaning, *besides)]
        print(json.dumps({"name": one.name, "a": one.version, "b": other.version,
                          "differences": documents}))  # fmt: skip
        return 0
    if not meaning:
        print(f"versions {one.version} and {other.version} of {one.name} mean the same")
    _print(meaning, "values change with:")
    _print(besides, "besides:")
    return 0


def _besides(record: Record) -> dict[str, object]:
    """What is for people, and where the data lies."""
    names = ("expectations", "online", "batch", "stream")
    facts = {name: record.facts[name] for name in names if name in record.facts}
    return {"owner": record.owner, "description": record.description, **facts}


def _print(found: list[Difference], head: str) -> None:
    if found:
        print(head)
    for one in found:
        for line in one.lines:
            print(shown(f"  {line}"))
