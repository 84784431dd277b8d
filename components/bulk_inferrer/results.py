"""Parts predicted rows into results and dead letters."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.bulk_inferrer.read import FILE, PLACE

PREDICTIONS, DEAD_LETTERS = "predictions", "dead_letters"
REDACTED = "[redacted]"
_ENTITY = "beamfleet:entity"
_BLOCK_ROWS = 65_536

DEAD_LETTER_SCHEMA = pa.schema(
    [
        ("entity", pa.string()),
        ("reason", pa.string()),
        ("file", pa.string()),
        ("row", pa.int64()),
        ("payload", pa.string()),
    ]
)
"""entity: key, null if missing, redacted if it is made of a private column. file, row (from 0):
where the row stands in the examples, null if unknown. payload: JSON object, null unless allowed."""


@dataclass(frozen=True)
class Layout:
    """How rows are written."""

    columns: tuple[str, ...]
    """Input columns beside the predictions."""
    private: tuple[str, ...]
    payload: bool
    private_entity: bool
    """Whether a private column is part of the entity key."""
    model_version: int


def part(
    pair: tuple[pa.Table, pa.Table], layout: Layout, shards: int
) -> Iterator[tuple[tuple[str, int], bytes]]:
    """Cuts (input, predictions) into ((PREDICTIONS or DEAD_LETTERS, shard), rows as Arrow IPC).

    All rows of an entity are in the same shard.
    """
    table, predicted = pair
    place = table.schema.get_field_index(FILE)
    table = table.set_column(place, FILE, table.column(FILE).cast(pa.string()))
    numbers = _shard_numbers(table, predicted.column("entity"), shards)
    failed = pc.is_valid(predicted.column("error")).to_numpy(zero_copy_only=False)
    for shard in np.unique(numbers).tolist():
        for kind, chosen in ((PREDICTIONS, ~failed), (DEAD_LETTERS, failed)):
            rows = pa.array(np.flatnonzero((numbers == shard) & chosen))
            if len(rows):
                make = predictions if kind == PREDICTIONS else dead_letters
                cut = make(table.take(rows), predicted.take(rows), layout)
                yield (kind, shard), _to_bytes(cut)


def predictions(table: pa.Table, predicted: pa.Table, layout: Layout) -> pa.Table:
    """The chosen input columns, prediction, probabilities, model_version, fallback; unsorted."""
    columns = {name: table.column(name) for name in layout.columns}
    for name in ("prediction", "probabilities"):
        columns[name] = predicted.column(name)
    columns["model_version"] = pa.array(np.full(table.num_rows, layout.model_version, np.int64))
    columns["fallback"] = predicted.column("fallback")
    columns |= {FILE: table.column(FILE), PLACE: table.column(PLACE)}
    return pa.table({**columns, _ENTITY: predicted.column("entity")})


def dead_letters(table: pa.Table, predicted: pa.Table, layout: Layout) -> pa.Table:
    """The failed rows as DEAD_LETTER_SCHEMA says, with the columns to sort by."""
    rows = table.drop_columns([FILE, PLACE]).to_pylist()
    reasons = [
        _without_private(reason, row, layout.private)
        for reason, row in zip(predicted.column("error").to_pylist(), rows, strict=True)
    ]
    payloads = [_payload(row, layout.private) if layout.payload else None for row in rows]
    entities = predicted.column("entity")
    if layout.private_entity:
        entities = pc.if_else(pc.is_valid(entities), REDACTED, None)
    known = pc.is_valid(table.column(FILE))
    letters = [
        entities,
        pa.array(reasons, pa.string()),
        table.column(FILE),
        pc.if_else(known, table.column(PLACE), None),
        pa.array(payloads, pa.string()),
    ]
    written = pa.table(letters, schema=DEAD_LETTER_SCHEMA)
    for name in (FILE, PLACE):
        written = written.append_column(name, table.column(name))
    return written.append_column(_ENTITY, predicted.column("entity"))


def joined(pieces: Iterable[bytes]) -> pa.Table:
    """The rows of all pieces of a shard, in order."""
    return in_order(pa.concat_tables([pa.ipc.open_stream(piece).read_all() for piece in pieces]))


def in_order(table: pa.Table) -> pa.Table:
    """Sorts by entity and place, whatever order the rows came in, and drops the added columns."""
    keys = [(name, "ascending") for name in (_ENTITY, FILE, PLACE)]
    return table.sort_by(keys).drop_columns([_ENTITY, FILE, PLACE])


def _to_bytes(table: pa.Table) -> bytes:
    # Compressed, because a local runner holds what is shuffled in memory.
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _shard_numbers(table: pa.Table, entities: pa.ChunkedArray, shards: int) -> np.ndarray[Any, Any]:
    keys = pc.fill_null(entities, "").to_pandas()
    if not (keys == "").all():
        return np.asarray(pd.util.hash_array(keys.to_numpy(dtype=object)) % shards)
    # One model for all rows: neighbours stay together.
    files = pc.fill_null(table.column(FILE), "").to_pandas().to_numpy(dtype=object)
    blocks = table.column(PLACE).to_numpy() // _BLOCK_ROWS
    return np.asarray((pd.util.hash_array(files) + blocks.astype(np.uint64)) % shards)


def _without_private(reason: str, row: dict[str, Any], private: tuple[str, ...]) -> str:
    """An exception likes to quote the value that it choked on."""
    values = {form(row[c]) for c in private if row.get(c) is not None for form in (str, repr)}
    for text in sorted(values, key=len, reverse=True):
        reason = reason.replace(text, REDACTED) if text else reason
    return reason


def _payload(row: dict[str, Any], private: tuple[str, ...]) -> str:
    shown = {
        name: REDACTED if name in private else None if value != value else value
        for name, value in row.items()
    }
    return json.dumps(shown, ensure_ascii=False)
