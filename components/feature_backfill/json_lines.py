"""Reads long files of JSON lines in chunks of whole lines, all of one schema."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from components.feature_values.by_kind import Part, is_uniform, parts_of, with_columns_of
from components.feature_values.json_objects import HALF_PAIR, json_object
from components.feature_values.ordered import Ints

CHUNK_BYTES = 32 << 20
Read = tuple[pl.DataFrame, Ints, pl.DataFrame]
_MIXED = pl.Object()
"""Stands for a column of several kinds, none of which its nulls have."""
_REASON = "the line is no JSON object"


def json_batches(path: str) -> Iterator[Read]:
    """Rows, their numbers in the file (from 0, blank lines count), and lines that are no objects.

    The first pass finds the columns and types of the whole file, so that a column that a chunk
    lacks is null there.
    """
    schema: pl.Schema | None = None
    for frame, _, _ in _chunks(path):
        parts = [pl.DataFrame(schema=schema), frame.clear()] if schema else [frame.clear()]
        schema = pl.concat(parts, how="diagonal_relaxed").schema
    for frame, numbers, unreadable in _chunks(path):
        empty = pl.DataFrame(schema=schema)
        yield pl.concat([empty, frame], how="diagonal_relaxed"), numbers, unreadable


def json_parts(path: str) -> Iterator[Read]:
    """Like `json_batches`, in parts whose columns are each of one kind; see `parts_of`."""
    found: dict[str, pl.DataType] = {}
    for parts, _ in _parts(path):
        for part in parts:
            for name, kind in part.rows.schema.items():
                one = found.setdefault(name, kind)
                if one != kind and kind != pl.Null():
                    found[name] = kind if one == pl.Null() else _MIXED
    schema = {name: pl.Null() if kind == _MIXED else kind for name, kind in found.items()}
    for parts, unreadable in _parts(path):
        for part in parts:
            yield with_columns_of(part.rows, schema), part.places, unreadable
            unreadable = _unreadable([])
        if unreadable.height:
            yield pl.DataFrame(), np.zeros(0, dtype=np.int64), unreadable


def _parts(path: str) -> Iterator[tuple[list[Part], pl.DataFrame]]:
    for lines, first in _lines(path):
        asked = [n for n, line in enumerate(lines) if line.strip()]
        frame = _uniform([lines[n] for n in asked])
        if frame is not None:
            part = Part(frame, np.array(asked, dtype=np.int64) + first)
            yield [part] if asked else [], _unreadable([])
            continue
        read = [(n + first, json_object(lines[n])[0]) for n in asked]
        numbers = np.array([n for n, row in read if row is not None], dtype=np.int64)
        parts = parts_of([row for _, row in read if row is not None])
        bad = _unreadable([n for n, row in read if row is None])
        yield [Part(part.rows, numbers[part.places]) for part in parts], bad


def _uniform(lines: list[bytes]) -> pl.DataFrame | None:
    """Rows, if all lines are objects and have one kind of value in each column."""
    whole = b"\n".join(lines)
    if HALF_PAIR.search(whole):
        return None  # polars reads halves of pairs as zero bytes
    try:
        frame, text = _frame(lines), whole.decode()
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return None
    if frame.height != len(lines) or (lines and not frame.width):
        return None
    return frame if is_uniform(text, frame) else None


def _chunks(path: str) -> Iterator[Read]:
    for lines, first in _lines(path):
        yield _parsed(lines, first)


def _lines(path: str) -> Iterator[tuple[list[bytes], int]]:
    """Lines of a chunk, and the number of the first."""
    first, rest = 0, b""
    with Path(path).open("rb") as file:
        while read := file.read(CHUNK_BYTES):
            whole, newline, rest = (rest + read).rpartition(b"\n")
            if newline:
                lines = whole.split(b"\n")
                yield lines, first
                first += len(lines)
    if rest:
        yield [rest], first


def _parsed(lines: list[bytes], first: int) -> Read:
    asked = [n for n, line in enumerate(lines) if line.strip()]
    numbers = np.array(asked, dtype=np.int64)
    suspects = [n for n in asked if HALF_PAIR.search(lines[n])]
    bad = _no_objects(lines, suspects)  # polars reads them as zero bytes
    try:
        frame = None if bad else _frame([lines[n] for n in asked])
    except pl.exceptions.PolarsError:
        frame = None
    if frame is not None and frame.height == len(numbers) and (frame.width or not asked):
        return frame, numbers + first, _unreadable([])
    bad = _no_objects(lines, asked)
    numbers = np.setdiff1d(numbers, np.array(bad, dtype=np.int64))
    frame = _frame([lines[n] for n in numbers.tolist()])
    return frame, numbers + first, _unreadable([n + first for n in bad])


def _frame(lines: list[bytes]) -> pl.DataFrame:
    if not lines:
        return pl.DataFrame()
    return pl.read_ndjson(io.BytesIO(b"\n".join(lines)), infer_schema_length=None)


def _no_objects(lines: list[bytes], asked: list[int]) -> list[int]:
    return [n for n in asked if json_object(lines[n])[0] is None]


def _unreadable(rows: list[int]) -> pl.DataFrame:
    reasons = [_REASON] * len(rows)
    return pl.DataFrame(
        {"row": rows, "reason": reasons}, schema={"row": pl.Int64, "reason": pl.String}
    )
