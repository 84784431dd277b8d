"""Fits the models of one shard; runs inside the worker processes, and imports no Beam."""

import hashlib
import random
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.entity_models.frame import to_frame
from components.entity_models.spec import ModelSpec
from components.entity_trainer.examples import EntityExamples
from components.entity_trainer.rows import ENTITY, HASH

_REASON_CHARACTERS = 500
_LOGGED: set[tuple[type, str]] = set()


@dataclass(frozen=True)
class Fitting:
    """What all fits of one training have in common."""

    train_fn: str
    hparams: Mapping[str, Any]
    fingerprint: str
    """Of code and hyper-parameters."""
    spec: ModelSpec
    min_rows: int
    max_rows: int
    max_fallback_rows: int
    parent: tuple[str, bytes] | None = None
    """(framework, payload) of the fallback model, for a `train_fn` that asks for it."""


@dataclass(frozen=True)
class Shard:
    """Arrow IPC streams of the rows and tallies of the entities of one shard (see `rows.Chunk`)."""

    rows: tuple[bytes, ...]
    tallies: tuple[bytes, ...] = ()
    fallback: bool = False
    """All rows are for the one fallback model."""


@dataclass(frozen=True)
class Fit:
    """What became of one entity."""

    entity: str
    status: str
    """`trained` | `small` | `failed`."""
    rows: int
    """Rows that the model was fitted on (small, failed: would have been)."""
    rows_sampled_out: int = 0
    rows_dropped: int = 0
    rows_without_label: int = 0
    reason: str = ""
    fingerprint: str = ""
    """Of rows, code, hyper-parameters and, where used, the parent model."""
    framework: str = ""
    payload: bytes = b""
    cpu_seconds: float | None = None
    """CPU time, of all threads, that `train_fn` and packing its model took; None: not known."""


@dataclass(frozen=True)
class PlannedShard:
    """A shard in pandas, sorted by entity and row hash."""

    fits: list[Fit]
    """One for each entity, in the order of keys; status `trained` is a promise yet."""
    features: pd.DataFrame
    label: pd.Series
    starts: list[int]
    """First row of each entity."""


def plan(shard: Shard, fitting: Fitting) -> PlannedShard:
    """Converts a shard once; decides which entities are fitted, and on which rows."""
    table = _sorted(read_tables(shard.rows), fitting.spec, shard.fallback)
    if shard.fallback:
        table = table.slice(0, fitting.max_fallback_rows)
        groups = {"": (0, table.num_rows)}
        tallies = {"": (table.num_rows, 0, 0)}
    else:
        groups = _groups(table)
        tallies = _tallies(read_tables(shard.tallies))
    hashes = table[HASH].to_numpy()
    fits, starts = [], []
    for entity in sorted(tallies):
        start, count = groups.get(entity, (0, 0))
        fits.append(_planned(entity, hashes[start : start + count], tallies[entity], fitting))
        starts.append(start)
    features = to_frame(table, fitting.spec)
    label = table[fitting.spec.label].to_pandas()
    return PlannedShard(fits, features, label.rename(fitting.spec.label), starts)


def fit_planned(
    planned: PlannedShard,
    fitting: Fitting,
    train_fn: Callable[..., Any],
    parent: object | None,
    done: Collection[str],
) -> Iterator[Fit]:
    """Fits the promised entities in order, but those in `done`."""
    arguments = {} if parent is None else {"parent": parent}
    for promised, start in zip(planned.fits, planned.starts, strict=True):
        if promised.status != "trained" or promised.entity in done:
            continue
        rows = slice(start, start + promised.rows)
        examples = EntityExamples(
            promised.entity,
            _own(planned.features.iloc[rows]),
            _own(planned.label.iloc[rows]),
            fitting.spec.classes,
        )
        yield _fit_one(
            promised, train_fn, partial(train_fn, examples, fitting.hparams, **arguments)
        )


def _own(view: Any) -> Any:
    """A copy that the user may change, numbered from 0; cheaper than `reset_index`."""
    rows = view.copy()
    rows.index = pd.RangeIndex(len(rows))
    return rows


def failed(fit: Fit, reason: str) -> Fit:
    """The fit, recorded as failed."""
    return replace(fit, status="failed", reason=reason[:_REASON_CHARACTERS])


def read_tables(streams: Collection[bytes]) -> pa.Table:
    """Joins Arrow IPC streams; words may be encoded in some of them and plain in others."""
    tables = [pa.ipc.open_stream(stream).read_all() for stream in streams]
    plain = [
        name
        for name in tables[0].schema.names
        if len({str(table.schema.field(name).type) for table in tables}) > 1
    ]
    tables = [_with_plain(table, plain) for table in tables]
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _with_plain(table: pa.Table, names: Collection[str]) -> pa.Table:
    for name in names:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.string()))
    return table


def _sorted(table: pa.Table, spec: ModelSpec, fallback: bool) -> pa.Table:
    """Sorted by entity and hash, without the rows that no entity keeps."""
    hashes = table[HASH].to_numpy()
    if fallback:
        return table.take(pa.array(np.argsort(hashes, kind="stable")))
    encoded = table[ENTITY].combine_chunks().dictionary_encode()
    rank = np.empty(len(encoded.dictionary), np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank))
    order = np.lexsort((hashes, rank[encoded.indices.to_numpy()]))
    return table.take(pa.array(order))


def _groups(table: pa.Table) -> dict[str, tuple[int, int]]:
    """Entity -> first row and number of rows, of a table sorted by entity."""
    counts = pc.value_counts(table[ENTITY].combine_chunks())  # in order of appearance
    sizes = counts.field("counts").to_numpy()
    starts = np.cumsum(sizes) - sizes
    names = counts.field("values").to_pylist()
    return {name: (int(a), int(n)) for name, a, n in zip(names, starts, sizes, strict=True)}


def _tallies(table: pa.Table) -> dict[str, tuple[int, int, int]]:
    # By hand: Arrow's group_by starts threads, 3 ms a shard.
    columns = [table[name].to_pylist() for name in ("entity", "usable", "without_label", "dropped")]
    sums: dict[str, tuple[int, int, int]] = {}
    for entity, usable, without_label, dropped in zip(*columns, strict=True):
        a, b, c = sums.get(entity, (0, 0, 0))
        sums[entity] = (a + usable, b + without_label, c + dropped)
    return sums


def _planned(
    entity: str, hashes: npt.NDArray[np.uint64], tally: tuple[int, int, int], fitting: Fitting
) -> Fit:
    usable, without_label, dropped = tally
    is_fallback = not entity
    rows = len(hashes) if is_fallback else min(len(hashes), fitting.max_rows)
    small = rows < (1 if is_fallback else fitting.min_rows)
    return Fit(
        entity,
        "small" if small else "trained",
        rows,
        usable - rows,
        dropped,
        without_label,
        f"{rows} usable rows, {fitting.min_rows} needed" if small else "",
        _fingerprint(hashes[:rows], fitting),
    )


def _fingerprint(hashes: npt.NDArray[np.uint64], fitting: Fitting) -> str:
    digest = hashlib.sha256(fitting.fingerprint.encode())
    digest.update(hashes.astype("<u8").tobytes())
    if fitting.parent is not None:
        digest.update(hashlib.sha256(fitting.parent[1]).digest())
    return digest.hexdigest()


def _fit_one(promised: Fit, train_fn: Callable[..., object], train: Callable[[], object]) -> Fit:
    from components.entity_models.codecs import encode

    _seed(promised.fingerprint)
    started = time.process_time()
    try:
        framework, payload = encode(train())
    except (Exception, SystemExit) as error:  # whatever the user's code does, the others go on
        told = f"{type(error).__name__}: {error}{_place(error, train_fn)}"
        return failed(replace(promised, cpu_seconds=time.process_time() - started), told)
    seconds = time.process_time() - started
    return replace(promised, framework=framework, payload=payload, cpu_seconds=seconds)


def _place(error: BaseException, train_fn: Callable[..., object]) -> str:
    """Where in the user's file it happened; the whole traceback goes to the log, once a place."""
    file = getattr(getattr(train_fn, "__code__", None), "co_filename", "")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    place = f" ({Path(file).name} line {frames[-1].lineno})" if frames else ""
    if (kind := (type(error), place)) not in _LOGGED:
        _LOGGED.add(kind)
        traceback.print_exception(error)
    return place


def _seed(fingerprint: str) -> None:
    """Makes a `train_fn` that draws from the global generators give the same model each time."""
    seed = int(fingerprint[:8], 16)
    random.seed(seed)
    np.random.seed(seed)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)
