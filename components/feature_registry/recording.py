"""Records one declaration within a transaction."""

import json
import sqlite3
from dataclasses import replace
from typing import Literal

from components.errors import BeamfleetError
from components.feature_registry.difference import differences
from components.feature_registry.records import UNVERSIONED, Record, Use
from components.feature_registry.rows import from_row, to_row

Outcome = Literal["new", "updated", "unchanged"]
_MOST_LINES = 60


def record(connection: sqlite3.Connection, wanted: Record, now: str) -> tuple[Record, Outcome]:
    """Records a version, or checks that it is recorded as it is; what it reads is recorded before.

    Args:
      wanted: As `record_of` gives it.
      now: ISO 8601, UTC.

    Raises:
      BeamfleetError: see `Registry.apply`.
    """
    there = _recorded(connection, wanted)
    if wanted.kind in UNVERSIONED:
        wanted = _numbered(wanted, there)
    wanted = replace(wanted, uses=tuple(_resolved(connection, use) for use in wanted.uses))
    newest = max(there, default=0)
    if wanted.version in there:
        return _renewed(connection, there[wanted.version], wanted, now)
    if wanted.version < newest:
        raise BeamfleetError(
            f"{wanted.label} was never registered, and version {newest} is: give a version above "
            f"{newest}, or version={newest} if it is the same"
        )
    made = replace(wanted, applied=now, changed=now)
    connection.execute(
        "INSERT INTO declared VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", to_row(made)
    )
    for place, use in enumerate(made.uses):
        row = (made.kind, made.name, made.version, place, use.kind, use.name, use.version)
        connection.execute(
            "INSERT INTO uses VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, json.dumps(use.features))
        )
    return made, "new"


def _renewed(
    connection: sqlite3.Connection, there: Record, wanted: Record, now: str
) -> tuple[Record, Outcome]:
    if there.fingerprint != wanted.fingerprint:
        raise BeamfleetError(_refusal(there, wanted))
    wanted = replace(wanted, applied=there.applied, changed=now)
    if _besides(wanted) == _besides(there):
        return there, "unchanged"
    new = to_row(wanted)
    connection.execute(
        "UPDATE declared SET owner = ?, description = ?, schema = ?, facts = ?, changed = ? "
        "WHERE kind = ? AND name = ? AND version = ?",
        (*new[3:7], now, *new[:3]),
    )
    return wanted, "updated"


def _besides(one: Record) -> tuple[object, ...]:
    """What may change within a version."""
    return one.owner, one.description, one.schema, one.facts


def _refusal(there: Record, wanted: Record) -> str:
    lines = [line for one in differences(there.definition, wanted.definition) for line in one.lines]
    more = [f"(and {len(lines) - _MOST_LINES} lines more)"] if len(lines) > _MOST_LINES else []
    shown = "\n".join(f"  {line}" for line in [*lines[:_MOST_LINES], *more])
    return (
        f"{wanted.label} was registered with another definition on {there.applied[:10]}:\n{shown}\n"
        f"Values of both would be mixed. Raise it to version={wanted.version + 1}, or take the "
        "change back"
    )


def _recorded(connection: sqlite3.Connection, wanted: Record) -> dict[int, Record]:
    query = "SELECT * FROM declared WHERE kind = ? AND name = ?"
    rows = connection.execute(query, (wanted.kind, wanted.name))
    return {row["version"]: from_row(row) for row in rows}


def _numbered(wanted: Record, there: dict[int, Record]) -> Record:
    """Of what declares no version: the recorded one that means the same, or the next."""
    same = [number for number, one in there.items() if one.fingerprint == wanted.fingerprint]
    return replace(wanted, version=max(same, default=max(there, default=0) + 1))


def _resolved(connection: sqlite3.Connection, use: Use) -> Use:
    if use.kind not in UNVERSIONED:
        return use
    query = "SELECT max(version) FROM declared WHERE kind = ? AND name = ? AND fingerprint = ?"
    [version] = connection.execute(query, (use.kind, use.name, use.fingerprint)).fetchone()
    return replace(use, version=version, fingerprint="")
