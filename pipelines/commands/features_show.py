"""`beamfleet features show`: one declaration, with all that is known of it."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from components.errors import BeamfleetError
from components.feature_registry import Registry
from components.feature_registry.records import KINDS, Record
from components.features.code import WRITTEN
from pipelines.commands.features_list import document
from pipelines.feature_stores import registry_of
from pipelines.render import console, escaped, plain_table, shown

_WIDTH = 16


def main(arguments: argparse.Namespace) -> int:
    """Prints it, or JSON with its definition."""
    registry = registry_of(arguments.store)
    record = registry.get(*_split(arguments.name))
    readers = registry.readers_of(record)
    models = _models(registry, record)
    versions = [one.version for one in registry.versions(record.name, record.kind)]
    if arguments.json:
        more = {"versions": versions, "reads": [asdict(one) for one in record.uses],
                "read_by": [f"{KINDS[k]} {n}@{v}" for k, n, v in readers], "models": models,
                "definition": record.definition}  # fmt: skip
        print(json.dumps({**document(record), **more}))
        return 0
    for name, value in _lines(record, versions, readers, models):
        print(shown(f"{name:<{_WIDTH}}{value}"))
    _print_schema(record)
    for where, text in code_of(record.definition):
        print(f"\n{shown(where)}:")
        print("\n".join(f"  {line}" for line in shown(text).splitlines()))
    return 0


def code_of(definition: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Where a definition has code of the user, and its text."""
    if isinstance(definition, dict):
        if "code" in definition and WRITTEN in definition:
            yield where, definition[WRITTEN]
        for name, value in definition.items():
            yield from code_of(value, f"{where}.{name}" if where else name)
    elif isinstance(definition, list):
        for place, value in enumerate(definition):
            yield from code_of(value, f"{where}[{place}]")


def _split(text: str) -> tuple[str, int | None]:
    name, at, version = text.partition("@")
    if at and not version.isdigit():
        raise BeamfleetError(f"{text!r}: expected NAME or NAME@VERSION, such as card_spend@3")
    return name, int(version) if at else None


def _models(registry: Registry, record: Record) -> list[dict[str, Any]]:
    if record.kind == "service":
        there = registry.trainings(record.name)
        return [asdict(one) for one in there if one.version == record.version]
    if record.kind in ("view", "group"):
        return [asdict(one) for one in registry.models_of(record.name, record.version)]
    return []


def _lines(
    record: Record, versions: list[int], readers: list[Any], models: list[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    others = ", ".join(str(one) for one in versions if one != record.version)
    yield (
        KINDS[record.kind],
        f"{record.name}@{record.version}" + (f" (also: {others})" if others else ""),
    )
    yield "owner", record.owner or "-"
    yield "description", record.description or "-"
    for name, value in record.facts.items():
        if value not in (None, "", [], {}):
            yield name.replace("_", " "), _said(value)
    yield "fingerprint", record.fingerprint
    yield (
        "applied",
        record.applied
        + (f", changed {record.changed}" if record.changed != record.applied else ""),
    )
    for use in record.uses:
        features = f": {', '.join(use.features)}" if use.features else ""
        yield "reads", f"{KINDS[use.kind]} {use.name}@{use.version}{features}"
    for kind, name, version in readers:
        yield "read by", f"{KINDS[kind]} {name}@{version}"
    for one in models:
        run = f", run {one['run']}" if one["run"] else ""
        yield "model", f"{one['model']} (split {one['split_version']}{run})"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(" ".join(one) if isinstance(one, list) else str(one) for one in value)
    return (
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )


def _print_schema(record: Record) -> None:
    if not record.schema:
        return
    table = plain_table("key" if record.kind == "entity" else "feature", "type", "made by")
    made, columns = (record.facts.get(name, {}) for name in ("aggregators", "columns"))
    for name, kind in record.schema:
        of = f" of {columns[name]}" if name in columns else ""
        table.add_row(escaped(name), kind, escaped(made.get(name, "") + of))
    print()
    console().print(table)
