"""Puts the new version together from the candidate and what is pushed, byte for byte."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from components.entity_models.store import EntityModels, IndexEntry, ShardWriter, commit
from components.errors import BeamfleetError

SHARD_BYTES = 32 * 1024 * 1024
"""A shard is closed once it has this many bytes; one is in memory at a time."""
_IDENTITY = ["kind", "entity", "sha256"]


@dataclass(frozen=True)
class Source:
    """Where one model of the new version comes from."""

    store: EntityModels
    entry: IndexEntry


def check_same_spec(candidate: EntityModels, pushed: EntityModels) -> None:
    """Refuses to mix models that do not have the same inputs and outputs.

    Raises:
      BeamfleetError: the specs differ; it says in what.
    """
    if candidate.spec.fingerprint() == pushed.spec.fingerprint():
        return
    ours, theirs = candidate.spec.to_dict(), pushed.spec.to_dict()
    changes = "; ".join(
        f"{name} was {theirs.get(name)}, is {ours[name]}"
        for name in sorted(ours)
        if ours[name] != theirs.get(name)
    )
    raise BeamfleetError(
        f"the candidate {candidate.uri} cannot join the models pushed as {pushed.uri}: {changes}. "
        "Train with the same columns and classes, or push to a new directory"
    )


def choose(
    candidate: EntityModels,
    pushed: EntityModels | None,
    serves: Mapping[str, str],
    fallback: str,
) -> list[Source]:
    """Lists the models of the new version, sorted by entity, the fallback last.

    Args:
      candidate: the trainer's store.
      pushed: the store that is pushed, if any.
      serves: by entity, `candidate` or `pushed`; others are served by the fallback.
      fallback: whose fallback to take, `candidate` or `pushed`.
    """
    stores = {"candidate": candidate, "pushed": pushed}
    sources = []
    for entity, name in sorted(serves.items()):
        store = stores.get(name)
        entry = store.entry(entity) if store is not None else None
        if store is not None and entry is not None:
            sources.append(Source(store, entry))
    store = stores[fallback]
    if store is not None and store.fallback_entry and store.fallback_entry.status == "trained":
        sources.append(Source(store, store.fallback_entry))
    return sources


def is_unchanged(sources: list[Source], pushed: EntityModels | None) -> bool:
    """Whether the new version would hold exactly the models that are pushed."""
    if pushed is None:
        return False
    there = [tuple(row.values()) for row in pushed.index().select(_IDENTITY).to_pylist()]
    return [tuple(getattr(s.entry, name) for name in _IDENTITY) for s in sources] == there


def write_store(
    uri: str, sources: list[Source], metrics: Mapping[str, str], counts: Mapping[str, int]
) -> None:
    """Copies the models into a new store; no payload is decoded.

    Args:
      uri: folder of the new store.
      sources: what `choose` gave; not empty.
      metrics: evaluation metrics as JSON, by entity; "" is the fallback.
      counts: for the manifest.

    Raises:
      BeamfleetError: a payload is not what its index says.
    """
    parts = list(_shards(sources))
    entries: list[IndexEntry] = []
    for shard, part in enumerate(parts):
        writer = ShardWriter(uri, shard, len(parts))
        for source in part:
            entry = source.entry
            entry = replace(entry, metrics=metrics.get(entry.entity, entry.metrics))
            writer.add(entry, source.store.payload(source.entry) if entry.length else b"")
        entries += writer.close()
    commit(uri, sources[0].store.spec, entries, counts)


def _shards(sources: list[Source]) -> Iterator[list[Source]]:
    part: list[Source] = []
    size = 0
    for source in sources:
        if part and size + source.entry.length > SHARD_BYTES:
            yield part
            part, size = [], 0
        part.append(source)
        size += source.entry.length
    yield part
