"""Reads a store of entity models: manifest, index, packed shards."""

import hashlib
import io
import json
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.entity_models.codecs import decode
from components.entity_models.layout import (
    FORMAT,
    HEADER,
    INDEX,
    INDEX_SCHEMA,
    MANIFEST,
    MAX_PAYLOAD_BYTES,
    MIN_MODEL_BYTES,
    STATUSES,
    VERSION,
    IndexEntry,
    path_of,
    shard_name,
)
from components.entity_models.spec import ModelSpec
from components.entity_models.write import ShardWriter, commit
from components.errors import BeamfleetError
from components.files import open_file

__all__ = ["EntityModels", "IndexEntry", "ShardWriter", "UnreadableModelError", "commit"]


class UnreadableModelError(BeamfleetError):
    """A stored model was removed, damaged, or needs what is not installed here."""

    def __init__(self, entity: str, message: str) -> None:
        super().__init__(message)
        self.entity = entity
        """Entity key; "" for the fallback."""


class EntityModels:
    """Models of many entities, each loaded when it is first asked for.

    Threads may share one. Example:

        models = EntityModels("gs://bucket/census/model/7")
        model, is_fallback = models.model("Bachelors")

    Raises:
      BeamfleetError: the store is not whole, of another format version, or was changed.
    """

    def __init__(self, uri: str, cache_bytes: int = 256 * 1024 * 1024) -> None:
        """Opens a store on any Beam filesystem; `cache_bytes` bounds the loaded models."""
        manifest = _read_manifest(uri)
        self.uri = uri
        self.spec = ModelSpec.from_dict(manifest["spec"])
        self.counts: Mapping[str, int] = MappingProxyType(dict(manifest["counts"]))
        self._index = _read_index(uri, manifest["index_sha256"])
        self._columns = [column.chunk(0) for column in self._index.columns]
        kinds = self._index.column("kind")
        # Sorted by kind, then by entity: "entity" rows come before the one "fallback" row.
        self._entities = int(pc.sum(pc.equal(kinds, "entity")).as_py() or 0)
        self._names = self._columns[INDEX_SCHEMA.get_field_index("entity")]
        self.fingerprint: str = hashlib.sha256(
            (self.spec.fingerprint() + manifest["index_sha256"]).encode()
        ).hexdigest()
        """SHA-256 over the spec and the index, and by it over every payload."""
        self.fallback_entry: IndexEntry | None = (
            self._entry_at(self._entities) if self._entities < self._index.num_rows else None
        )
        self._cache_bytes = cache_bytes
        self._cached_bytes = 0
        self._cache: OrderedDict[str, tuple[object, int]] = OrderedDict()
        self._fallback: object | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._entities

    def index(self) -> pa.Table:
        """The whole index, sorted by kind and entity."""
        return self._index

    def entry(self, entity: str) -> IndexEntry | None:
        row = bisect_left(range(self._entities), entity, key=lambda i: self._names[i].as_py())
        if row == self._entities or self._names[row].as_py() != entity:
            return None
        return self._entry_at(row)

    @property
    def frameworks(self) -> frozenset[str]:
        """Names of the libraries that the models need."""
        return frozenset(self._index.column("framework").to_pylist())

    def check(self) -> None:
        """Reads every model's bytes and compares them with the index; nothing is decoded.

        Raises:
          BeamfleetError: naming the first entity whose bytes are missing or changed.
        """
        for row in self._index.filter(pc.greater(self._index.column("length"), 0)).to_pylist():
            self.payload(IndexEntry(**row))

    def payload(self, entry: IndexEntry) -> bytes:
        """The stored bytes of one model, checked against the index and not decoded.

        Raises:
          BeamfleetError: the shard is missing, short, of another version, or was changed.
        """
        what = f"{self.uri}: entity {entry.entity!r} in {shard_name(entry.shard, entry.shards)}"
        try:
            with open_file(path_of(self.uri, shard_name(entry.shard, entry.shards))) as file:
                header = file.read(len(HEADER))
                file.seek(entry.offset)
                payload = bytes(file.read(entry.length))
        except (OSError, MemoryError) as error:
            raise BeamfleetError(f"{what} cannot be read; restore the artifact") from error
        if header != HEADER:
            raise BeamfleetError(f"{what}: not a shard of format version {VERSION}")
        if len(payload) != entry.length:
            raise BeamfleetError(
                f"{what}: {entry.length} bytes expected at {entry.offset}, {len(payload)} there; "
                "the shard is truncated, restore the artifact"
            )
        if hashlib.sha256(payload).hexdigest() != entry.sha256:
            raise BeamfleetError(f"{what}: SHA-256 differs from the index; restore the artifact")
        return payload

    def model(self, entity: str) -> tuple[object, bool]:
        """Loads the model that serves an entity.

        Returns:
          The model, and whether it is the fallback (unseen, too small or failed entity).

        Raises:
          BeamfleetError: there is neither a model for the entity nor a fallback, or the payload was
            changed.
        """
        own = self.own(entity)
        if own is not None:
            return own, False
        fallback = self.fallback()
        if fallback is None:
            raise BeamfleetError(
                f"{self.uri}: no model for entity {entity!r} and no fallback; "
                f"{self._entities} entities known"
            )
        return fallback, True

    def own(self, entity: str) -> object | None:
        """The entity's own model; None if it is unseen, too small or failed."""
        with self._lock:
            if entity in self._cache:
                self._cache.move_to_end(entity)
                return self._cache[entity][0]
        entry = self.entry(entity)
        if entry is None or entry.status != "trained":
            return None
        model = self._decode(entry)
        self._keep(entity, model, max(entry.length, MIN_MODEL_BYTES))
        return model

    def fallback(self) -> object | None:
        """The model trained on all rows, which stays loaded; None if there is none."""
        entry = self.fallback_entry
        if entry is not None and entry.status == "trained" and self._fallback is None:
            self._fallback = self._decode(entry)
        return self._fallback

    def _decode(self, entry: IndexEntry) -> object:
        try:
            return decode(entry.framework, self.payload(entry))
        except BeamfleetError as error:
            message = f"{self.uri}: entity {entry.entity!r}: {error}"
            raise UnreadableModelError(entry.entity, message) from error

    def _keep(self, entity: str, model: object, size: int) -> None:
        with self._lock:
            if entity in self._cache or size > self._cache_bytes:
                return
            self._cache[entity] = (model, size)
            self._cached_bytes += size
            while self._cached_bytes > self._cache_bytes:
                _, (_, freed) = self._cache.popitem(last=False)
                self._cached_bytes -= freed

    def _entry_at(self, row: int) -> IndexEntry:
        values = (column[row].as_py() for column in self._columns)
        return IndexEntry(**dict(zip(INDEX_SCHEMA.names, values, strict=True)))


def _read_manifest(uri: str) -> dict[str, Any]:
    path = path_of(uri, MANIFEST)
    try:
        manifest = json.loads(_read_all(path))
    except OSError as error:
        raise BeamfleetError(
            f"{uri} has no {MANIFEST}: not an entity models artifact, or its training was stopped "
            "before it was whole; train again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BeamfleetError(f"{path} is not JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BeamfleetError(f"{path}: format {FORMAT!r} expected")
    if manifest.get("version") != VERSION:
        raise BeamfleetError(
            f"{path}: format version {manifest.get('version')!r}, this release reads {VERSION}"
        )
    if not isinstance(manifest.get("spec"), dict) or not isinstance(manifest.get("counts"), dict):
        raise BeamfleetError(f"{path}: spec and counts expected; restore the artifact")
    if not isinstance(manifest.get("index_sha256"), str):
        raise BeamfleetError(f"{path}: index_sha256 expected; restore the artifact")
    return manifest


def _read_index(uri: str, expected_sha256: str) -> pa.Table:
    path = path_of(uri, INDEX)
    try:
        content = _read_all(path)
    except OSError as error:
        raise BeamfleetError(f"{path} is missing; restore the artifact") from error
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        raise BeamfleetError(f"{path}: SHA-256 differs from {MANIFEST}; restore the artifact")
    try:
        table = pq.read_table(io.BytesIO(content)).combine_chunks()
    except pa.ArrowException as error:
        raise BeamfleetError(f"{path} is not an index: {error}") from error
    if table.schema.remove_metadata() != INDEX_SCHEMA:
        raise BeamfleetError(f"{path}: columns {INDEX_SCHEMA.names} expected")
    if table.num_rows == 0:
        return pa.table([pa.array([], f.type) for f in INDEX_SCHEMA], schema=INDEX_SCHEMA)
    _check_order(path, table)
    _check_places(path, table)
    return table


def _check_order(path: str, table: pa.Table) -> None:
    """Look-ups are binary searches: they need distinct entities in order, the fallback last."""
    kinds, names = table.column("kind").chunk(0), table.column("entity").chunk(0)
    entities = int(pc.sum(pc.equal(kinds, "entity")).as_py())
    rising = pc.all(pc.less(names[: max(entities - 1, 0)], names[1:entities])).as_py()
    fallbacks = kinds[entities:].to_pylist()
    if rising is False or fallbacks not in ([], ["fallback"]):
        raise BeamfleetError(f"{path}: entities must be sorted and distinct; restore the artifact")


def _check_places(path: str, table: pa.Table) -> None:
    """A payload lies behind the header of an existing shard and has a size that can be loaded."""
    column = {name: table.column(name) for name in ("shard", "shards", "offset", "length")}
    places = [
        pc.less_equal(0, column["shard"]),
        pc.less(column["shard"], column["shards"]),
        pc.less_equal(len(HEADER), column["offset"]),
        pc.less_equal(0, column["length"]),
        pc.less_equal(column["length"], MAX_PAYLOAD_BYTES),
        pc.is_in(table.column("status"), value_set=pa.array(STATUSES)),
    ]
    blanks = sum(table.column(name).null_count for name in table.schema.names if name != "metrics")
    if blanks or not all(pc.all(place).as_py() for place in places):
        raise BeamfleetError(f"{path}: a model lies outside its shard; restore the artifact")


def _read_all(path: str) -> bytes:
    with open_file(path) as file:
        return bytes(file.read())
