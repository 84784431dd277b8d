"""What a watch knows of the pushed version."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.errors import BeamfleetError


@dataclass(frozen=True)
class Pushed:
    """The current version of a pushed directory of entity models."""

    version: int
    since: datetime
    """When it was pushed."""
    task: str
    entity_columns: tuple[str, ...]
    positive: str
    """Class that scores belong to; "" if there are not two."""
    evaluated: Mapping[str, Mapping[str, Any]]
    """Entity -> metrics of its evaluation, with `rows`; "" is the fallback."""
    own: frozenset[str]
    """Entities with a model of their own."""


def pushed_version(directory: str) -> Pushed:
    """The current version of a pushed directory of entity models.

    Raises:
      BeamfleetError: nothing was pushed, or something else than entity models.
    """
    from components.entity_models.store import EntityModels
    from components.pusher.stores import open_store
    from components.pusher.versions import PushedVersions

    current = PushedVersions(directory).current()
    if current is None:
        raise BeamfleetError(f"nothing was pushed to {directory} yet")
    if (kind := open_store(current.path).kind) != "entity models":
        raise BeamfleetError(f"{current.path} is {kind}: only entity models are watched by entity")
    models = EntityModels(current.path)
    rows = models.index().to_pylist()
    classes = models.spec.classes
    return Pushed(
        version=current.number,
        since=datetime.fromisoformat(str(current.details["created"])),
        task=models.spec.task,
        entity_columns=models.spec.entity_columns,
        positive=str(classes[-1]) if len(classes) == 2 else "",
        evaluated={row["entity"]: json.loads(row["metrics"] or "{}") for row in rows},
        own=frozenset(
            row["entity"] for row in rows if row["entity"] and row["status"] == "trained"
        ),
    )
