"""Writes a store of entity models: shards first, then the index, the manifest last."""

import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from components.entity_models.layout import (
    FORMAT,
    HEADER,
    INDEX,
    INDEX_SCHEMA,
    MANIFEST,
    STATUSES,
    VERSION,
    IndexEntry,
    path_of,
    shard_name,
)
from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError
from components.files import exists, write_whole


class ShardWriter:
    """Packs payloads into one shard file, which appears whole when it is closed.

    Example:
        writer = ShardWriter(uri, shard=7, shards=64)
        writer.add(IndexEntry(kind="entity", entity="HS-grad", status="trained", rows=120,
                              framework="sklearn"), payload)
        entries = writer.close()
    """

    def __init__(self, uri: str, shard: int, shards: int) -> None:
        if not 0 <= shard < shards:
            raise ValueError(f"shard must be in [0, {shards}), got {shard}")
        self._path = path_of(uri, shard_name(shard, shards))
        self._shard = shard
        self._shards = shards
        self._entries: list[IndexEntry] = []
        self._content = bytearray(HEADER)

    def add(self, entry: IndexEntry, payload: bytes) -> None:
        """Appends a model; entries that are not trained come with an empty payload.

        Raises:
          BeamfleetError: payload and status contradict each other.
        """
        if entry.status not in STATUSES or (entry.status == "trained") != bool(payload):
            raise BeamfleetError(
                f"entity {entry.entity!r}: status {entry.status!r} with {len(payload)} payload "
                "bytes; only trained models have a payload"
            )
        placed = replace(
            entry,
            shard=self._shard,
            shards=self._shards,
            offset=len(self._content),
            length=len(payload),
            sha256=hashlib.sha256(payload).hexdigest() if payload else "",
        )
        self._entries.append(placed)
        self._content += payload

    def close(self) -> list[IndexEntry]:
        """Renames the shard into place and gives its rows of the index."""
        write_whole(self._path, bytes(self._content))
        return self._entries


def commit(
    uri: str, spec: ModelSpec, entries: Iterable[IndexEntry], counts: Mapping[str, int]
) -> None:
    """Writes the index, then the manifest that makes the store visible.

    Args:
      uri: folder of the store, which holds the closed shards.
      spec: what the models have in common.
      entries: all rows of the index, as `ShardWriter.close` gave them, in any order.
      counts: whatever the writer counted (rows_in, entities_trained ...).

    Raises:
      BeamfleetError: an entity comes twice, or the folder already holds a store.
    """
    if exists(path_of(uri, MANIFEST)):
        raise BeamfleetError(f"{uri} already holds a store; write into a new folder")
    ordered = sorted(entries, key=lambda entry: (entry.kind, entry.entity))
    _check_entries(uri, ordered)
    index = _index_bytes(ordered)
    write_whole(path_of(uri, INDEX), index)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "spec": spec.to_dict(),
        "counts": dict(counts),
        "index_sha256": hashlib.sha256(index).hexdigest(),
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
    write_whole(path_of(uri, MANIFEST), text.encode())


def _check_entries(uri: str, ordered: list[IndexEntry]) -> None:
    for entry in ordered:
        if (entry.kind, entry.entity == "") not in (("entity", False), ("fallback", True)):
            raise BeamfleetError(
                f"{uri}: kind {entry.kind!r} with entity {entry.entity!r}; an entity has a key, "
                "the fallback has none"
            )
    for first, second in itertools.pairwise(ordered):
        if (first.kind, first.entity) == (second.kind, second.entity):
            raise BeamfleetError(f"{uri}: {first.kind} {first.entity!r} comes twice")


def _index_bytes(ordered: list[IndexEntry]) -> bytes:
    columns = {name: [getattr(entry, name) for entry in ordered] for name in INDEX_SCHEMA.names}
    table = pa.table(columns, schema=INDEX_SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
