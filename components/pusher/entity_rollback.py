"""Rolls back single entities: a new version with earlier models of these, and all others as is.

Versions never change, so that servers, caches and lineage may trust a number; like any push this
one appears by the rename of CURRENT. `entity_rollbacks` in version.json says which entities have
the model of which version, so that the next rollback goes on from there and not back to the model
that was taken away.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import BeamfleetError
from components.pusher import files
from components.pusher.directory import Pointer, PushedDirectory, Version, words
from components.pusher.linking import link_version
from components.pusher.splits import is_undecided
from components.pusher.staging import add_version, next_number
from components.pusher.stores import PushedStore, open_store
from components.words import listed

if TYPE_CHECKING:
    from components.entity_models.store import EntityModels

_LOCK_WAIT_S = 600.0
ENTITY_ROLLBACKS = "entity_rollbacks"


def rollback_entities(
    directory: str,
    entities: Sequence[str],
    *,
    to: int | None = None,
    expected: int | None = None,
    why: str = "",
) -> Version:
    """Makes a version current in which these entities have the model that they had before.

    An entity that had none then has none, and is served by the fallback.

    Args:
      directory: Pushed directory.
      entities: Keys; each is rolled back on its own.
      to: The version whose models they get; None: for each the last one before the current version
        in which it had another model, or none.
      expected: The current version that the decision was made about; another one is left alone.
      why: For the history.

    Raises:
      BeamfleetError: the directory is not local, holds no entity models, or another version became
        current; a split is running; an entity is unknown or never had another model; or the version
        that had it was removed.
    """
    pushed = PushedDirectory(directory.rstrip("/") or "/")
    with pushed.writing(_LOCK_WAIT_S):
        pointer = pushed.pointer()
        current = _current(pushed, pointer, expected)
        targets = {entity: _target(pushed, current, entity, to) for entity in entities}
        details = {
            "number": next_number(pushed),
            "model_uri": current.path,
            "candidate_uri": current.path,  # no trainer's: the next candidate is a new contest
            "baseline_version": current.number,
            "previous_version": current.number,
            ENTITY_ROLLBACKS: targets,
        }
        version = add_version(pushed, details, partial(_write, pushed, current, targets))
        moved = Pointer(version.number, version.number)
        told = {"entity": ", ".join(entities), "why": why}
        told["models_of"] = ", ".join(str(number) for number in targets.values())
        pushed.move(moved, "rollback", current.number, version.number, **told)
        taken = {current.number, *(number for number in targets.values() if number)}
        link_version(version, [pushed.read(number).path for number in sorted(taken)])
        return version


def _current(pushed: PushedDirectory, pointer: Pointer, expected: int | None) -> Version:
    if not pointer.version:
        raise BeamfleetError(f"nothing was pushed to {pushed.uri} yet")
    if expected not in (None, pointer.version):
        raise BeamfleetError(
            f"version {pointer.version} is current in {pushed.uri} now, not {expected} that was "
            "judged: nothing is rolled back; look again"
        )
    if pointer.split and is_undecided(pointer.split):
        raise BeamfleetError(
            f"{pushed.uri} compares version {pointer.version} with its challenger "
            f"{pointer.split.challenger}: end that by `beamfleet promote` or `beamfleet rollback`, "
            "then roll back the entity"
        )
    current = pushed.read(pointer.version)
    kind = open_store(current.path).kind
    if kind != "entity models":
        raise BeamfleetError(
            f"{current.path} is {kind}, which has no entities: roll back the whole version"
        )
    return current


def _target(pushed: PushedDirectory, current: Version, entity: str, to: int | None) -> int:
    """Number of the version whose model the entity gets."""
    now_there = _identity(_models(current), entity)
    if to is not None:
        if to not in pushed.visible():
            raise BeamfleetError(
                f"{pushed.uri} has no version {to}; choose one of: {words(pushed.visible())}"
            )
        if _identity(_models(pushed.read(to)), entity) == now_there:
            raise BeamfleetError(
                f"entity {entity!r} has the same model in version {to} as in the current one"
            )
        return to
    version, seen = current, [current.number]
    while number := _before(version, entity):
        if number not in pushed.visible():
            raise BeamfleetError(
                f"version {number}, before that of entity {entity!r} in {pushed.uri}, was removed; "
                f"choose by --to one of: {words(pushed.visible())}"
            )
        version = pushed.read(number)
        if _identity(_models(version), entity) != now_there:
            return number
        seen.append(number)
    what = "other model" if now_there else "model of its own"
    raise BeamfleetError(
        f"entity {entity!r} has had no {what} in {pushed.uri}: it is the same in "
        f"{'version' if len(seen) == 1 else 'versions'} {listed(map(str, reversed(seen)))}"
    )


def _before(version: Version, entity: str) -> int:
    """The version before, as far as the entity goes; 0: none."""
    rolled_back = version.details.get(ENTITY_ROLLBACKS, {})
    return int(rolled_back.get(entity, version.details["previous_version"]))


def rolled_back(version: Version, entity: str) -> int:
    """The version that it has the entity's model of since a rollback; 0: it is no such version."""
    return int(version.details.get(ENTITY_ROLLBACKS, {}).get(entity, 0))


def _models(version: Version) -> "EntityModels":
    from components.entity_models.store import EntityModels

    return EntityModels(version.path)


def _identity(models: "EntityModels", entity: str) -> str:
    """SHA-256 of the entity's own model; "" if the fallback serves it."""
    entry = models.entry(entity)
    return entry.sha256 if entry and entry.status == "trained" else ""


def _write(
    pushed: PushedDirectory, current: Version, targets: Mapping[str, int], staged: Path
) -> PushedStore:
    """Composes the store byte for byte; nothing is decoded."""
    from components.entity_evaluator.compose import Source, write_store
    from components.entity_models.store import IndexEntry

    models = _models(current)
    entries = [IndexEntry(**row) for row in models.index().to_pylist()]
    kept = [Source(models, entry) for entry in entries if entry.entity not in targets]
    for entity, number in targets.items():
        earlier = _models(pushed.read(number))
        entry = earlier.entry(entity)
        if entry and entry.status == "trained":
            kept.append(Source(earlier, entry))
        elif models.fallback() is None:
            raise BeamfleetError(
                f"entity {entity!r} has no model in version {number}, and version "
                f"{current.number} has no fallback that could serve it"
            )
    write_store(str(staged), kept, {}, models.counts)
    files.sync_tree(staged)
    store = open_store(str(staged))
    store.check()
    return store
