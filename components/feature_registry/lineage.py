"""Which models read which version of which view."""

import json
import sqlite3
from dataclasses import dataclass

from components.errors import BeamfleetError
from components.feature_registry.records import Training


@dataclass(frozen=True)
class Read:
    """That a model reads features of a view or group."""

    view: str
    version: int
    features: tuple[str, ...]
    service: str
    service_version: int


def trainings(connection: sqlite3.Connection, service: str | None) -> list[Training]:
    """Of one service, or of all; oldest first."""
    query = "SELECT * FROM trainings WHERE ? IS NULL OR service = ? ORDER BY linked, rowid"
    return [Training(**row) for row in connection.execute(query, (service, service))]


def models_of(connection: sqlite3.Connection, view: str, version: int | None) -> list[Training]:
    """The trainings that read a view or group, also through on-demand views."""
    query = (
        "SELECT DISTINCT t.* FROM trainings t JOIN reads r "
        "ON r.service = t.service AND r.service_version = t.version "
        "WHERE r.name = ? AND (? IS NULL OR r.version = ?) "
        "ORDER BY t.linked, t.rowid"
    )
    return [Training(**row) for row in connection.execute(query, (view, version, version))]


def models_by_view(connection: sqlite3.Connection) -> dict[tuple[str, int], list[Training]]:
    """(view or group, version) -> the trainings that read it."""
    query = (
        "SELECT DISTINCT r.name, r.version AS number, t.* FROM trainings t JOIN reads r "
        "ON r.service = t.service AND r.service_version = t.version ORDER BY t.linked, t.rowid"
    )
    found: dict[tuple[str, int], list[Training]] = {}
    for name, number, *training in connection.execute(query):
        found.setdefault((name, number), []).append(Training(*training))
    return found


def views_of(connection: sqlite3.Connection, model: str) -> list[Read]:
    """What a model reads.

    Raises:
      BeamfleetError: no training of this model is linked.
    """
    known = connection.execute("SELECT 1 FROM trainings WHERE model = ?", (model,)).fetchone()
    if known is None:
        raise BeamfleetError(f"no training of model {model!r} is linked in the registry")
    query = (
        "SELECT DISTINCT r.name, r.version, r.features, r.service, r.service_version "
        "FROM trainings t JOIN reads r ON r.service = t.service AND r.service_version = t.version "
        "WHERE t.model = ? ORDER BY r.name, r.version"
    )
    merged: dict[tuple[str, int, str, int], list[str]] = {}
    for name, version, features, service, number in connection.execute(query, (model,)):
        merged.setdefault((name, version, service, number), []).extend(json.loads(features))
    return [
        Read(name, version, tuple(dict.fromkeys(features)), service, number)
        for (name, version, service, number), features in merged.items()
    ]
