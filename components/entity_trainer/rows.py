"""Prepares batches of rows for training: types, row hashes, shards, tallies. Arrow and numpy only.

A row's hash depends on its content alone. Rows are sorted by it before they are fitted and samples
keep the smallest ones, so that neither depends on files, batches, workers or the runner. Rows with
equal hashes are equal rows (64 bits: two different rows of one entity collide about once in 10^9
entities of 100,000 rows), so their order does not matter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.entity_models.key import entity_keys
from components.entity_trainer.columns import TrainingColumns
from components.entity_trainer.sample import SmallestHashes

ENTITY = "beamfleet:entity"
HASH = "beamfleet:hash"
FALLBACK_SHARD = -1
_MOST_WORDS = 100
_SMALLEST_ENCODED = 10_000

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Summary:
    """What all rows have in common, added up over batches."""

    rows_in: int = 0
    rows_without_entity: int = 0
    rows_without_label: int = 0
    rows_dropped: int = 0
    """Rows with a missing feature, left out."""
    rows_usable: int = 0
    classes: frozenset[str] | frozenset[int] = frozenset()

    def __add__(self, other: "Summary") -> "Summary":
        return Summary(
            self.rows_in + other.rows_in,
            self.rows_without_entity + other.rows_without_entity,
            self.rows_without_label + other.rows_without_label,
            self.rows_dropped + other.rows_dropped,
            self.rows_usable + other.rows_usable,
            frozenset({*self.classes, *other.classes}),
        )


@dataclass(frozen=True)
class Chunk:
    """Rows of one shard out of one batch."""

    shard: int
    """FALLBACK_SHARD: candidates for the sample that the fallback is trained on."""
    rows: pa.RecordBatch
    """Usable rows: features, label, ENTITY, HASH."""
    tally: pa.RecordBatch
    """entity, usable, without_label, dropped: rows of each entity before any sampling."""


@dataclass
class RowSharder:
    """Splits batches into shards by entity; keeps only candidates of hot entities' samples."""

    columns: TrainingColumns
    drop_missing: bool
    shards: int
    max_rows: int
    max_fallback_rows: int
    _hot: dict[str, SmallestHashes] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _fallback: SmallestHashes | None = None

    def split(self, batch: pa.RecordBatch) -> tuple[list[Chunk], Summary]:
        """Splits one batch; every row is in exactly one tally or in `rows_without_entity`."""
        rows = prepare(batch, self.columns)
        keyed = pc.is_valid(rows[ENTITY])
        labelled = pc.is_valid(rows[self.columns.label])
        whole = self._whole(rows)
        usable = pc.and_(pc.and_(keyed, labelled), whole)
        chosen = rows.filter(usable)
        tally = _tally(rows, {"usable": usable, "without_label": pc.invert(labelled)})
        summary = Summary(
            rows.num_rows,
            rows.num_rows - _count(keyed),
            int(pc.sum(tally["without_label"]).as_py() or 0),
            int(pc.sum(tally["dropped"]).as_py() or 0),
            chosen.num_rows,
            self._classes(chosen),
        )
        return list(self._chunks(chosen, tally)), summary

    def _whole(self, rows: pa.RecordBatch) -> pa.Array:
        incomplete = [n for n, _ in self.columns.features if rows[n].null_count]
        whole = pa.array(np.ones(rows.num_rows, bool))
        for name in incomplete if self.drop_missing else ():
            whole = pc.and_(whole, pc.is_valid(rows[name]))
        return whole

    def _classes(self, rows: pa.RecordBatch) -> frozenset[str]:
        if self.columns.task != "classification":
            return frozenset()
        return frozenset(pc.unique(rows[self.columns.label]).to_pylist())

    def _chunks(self, rows: pa.RecordBatch, tally: pa.RecordBatch) -> Iterator[Chunk]:
        if rows.num_rows:
            if self._fallback is None:
                self._fallback = SmallestHashes(self.max_fallback_rows)
            candidates = self._fallback.add(_hashes_of(rows))
            yield Chunk(FALLBACK_SHARD, rows.filter(pa.array(candidates)), tally.slice(0, 0))
        rows = self._thin_hot_entities(rows, tally)
        row_parts = _by_shard(rows, _shards_of(rows[ENTITY], self.shards))
        tally_parts = _by_shard(tally, _shards_of(tally["entity"], self.shards))
        for shard, part in tally_parts.items():  # an entity with rows is in the tally too
            yield Chunk(shard, row_parts.get(shard, rows.slice(0, 0)), part)

    def _thin_hot_entities(self, rows: pa.RecordBatch, tally: pa.RecordBatch) -> pa.RecordBatch:
        hot = set()
        for entity, count in zip(
            tally["entity"].to_pylist(), tally["usable"].to_pylist(), strict=True
        ):
            self._seen[entity] = self._seen.get(entity, 0) + count
            if count and self._seen[entity] > self.max_rows:
                hot.add(entity)
        if not hot:
            return rows
        keep = np.ones(rows.num_rows, bool)
        for entity in hot:
            sketch = self._hot.setdefault(entity, SmallestHashes(self.max_rows))
            places = np.flatnonzero(pc.equal(rows[ENTITY], entity).to_numpy(zero_copy_only=False))
            keep[places] = sketch.add(_hashes_of(rows)[places])
        return rows.filter(pa.array(keep))


def prepare(batch: pa.RecordBatch, columns: TrainingColumns) -> pa.RecordBatch:
    """Features and label in their types, with ENTITY and HASH."""
    entity = entity_keys(batch, columns.entity)
    typed = {name: columns.plain(batch, name, kind) for name, kind in columns.features}
    typed[columns.label] = columns.plain(batch, columns.label, columns.label_type)
    hashes = row_hashes([*typed.values(), entity])
    for name, kind in columns.features:
        if kind == "string":
            typed[name] = _encoded(typed[name])
    return pa.RecordBatch.from_arrays(
        [*typed.values(), entity, pa.array(hashes)], names=[*typed, ENTITY, HASH]
    )


def _encoded(words: pa.Array) -> pa.Array:
    """Few distinct words are stored once: a third of the bytes, and faster in the workers.

    Each shard's chunk carries the whole dictionary, so that many words would cost more.
    """
    if len(words) < _SMALLEST_ENCODED:
        return words
    encoded = words.dictionary_encode()
    return encoded if len(encoded.dictionary) <= _MOST_WORDS else words


def row_hashes(columns: list[pa.Array]) -> Hashes:
    """(rows,) 64-bit hash of each row's values; the order of the columns counts."""
    hashes = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        hashes = _mix(hashes * np.uint64(0x9E3779B97F4A7C15) + value_hashes(column))
    return hashes


def value_hashes(column: pa.Array) -> Hashes:
    """(rows,) 64-bit hash of each value of a string, int64 or double column."""
    if pa.types.is_string(column.type):  # one hash for each distinct word
        encoded = column.dictionary_encode()
        words = np.array(encoded.dictionary.to_pylist(), object)
        known = np.append(pd.util.hash_array(words, categorize=False), np.uint64(1))
        return np.asarray(known[encoded.indices.fill_null(len(words)).to_numpy()], np.uint64)
    values: Hashes = column.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        values = np.where(missing, np.uint64(0xD6E8FEB86659FD93), values)
    return values


def _mix(values: Hashes) -> Hashes:
    """Source: the finaliser of splitmix64, Steele et al. 2014."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _tally(rows: pa.RecordBatch, flags: Mapping[str, pa.Array]) -> pa.RecordBatch:
    encoded = rows[ENTITY].dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy() + 1  # 0: no entity
    names = encoded.dictionary

    def per_entity(flag: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(codes[flag], minlength=len(names) + 1)[1:]

    usable = flags["usable"].to_numpy(zero_copy_only=False)
    without_label = flags["without_label"].to_numpy(zero_copy_only=False)
    counts = [per_entity(f) for f in (usable, without_label, ~usable & ~without_label)]
    return pa.RecordBatch.from_arrays(
        [names, *(pa.array(c, pa.int64()) for c in counts)],
        names=["entity", "usable", "without_label", "dropped"],
    )


def _shards_of(entities: pa.Array, shards: int) -> npt.NDArray[np.int64]:
    return (_mix(value_hashes(entities)) % np.uint64(shards)).astype(np.int64)


def _by_shard(rows: pa.RecordBatch, shards: npt.NDArray[np.int64]) -> dict[int, pa.RecordBatch]:
    if not rows.num_rows:
        return {}
    order = np.argsort(shards, kind="stable")
    numbers, starts = np.unique(shards[order], return_index=True)
    sorted_rows = rows.take(pa.array(order))
    ends = [*starts[1:], rows.num_rows]
    return {
        int(number): sorted_rows.slice(start, end - start)
        for number, start, end in zip(numbers, starts, ends, strict=True)
    }


def _hashes_of(rows: pa.RecordBatch) -> Hashes:
    hashes: Hashes = rows[HASH].to_numpy()
    return hashes


def _count(flags: pa.Array) -> int:
    return int(pc.sum(flags).as_py() or 0)
