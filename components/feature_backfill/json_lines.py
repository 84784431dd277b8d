"""Reads long files of JSON lines in chunks of whole lines, all of one schema."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from components.feature_values.json_objects import HALF_PAIR, json_object
from components.feature_values.ordered import Ints

CHUNK_BYTES = 32 << 20
Read = tuple[pl.DataFrame, Ints, pl.DataFrame]
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


def _chunks(path: str) -> Iterator[Read]:
    first, rest = 0, b""
    with Path(path).open("rb") as file:
        while read := file.read(CHUNK_BYTES):
            whole, newline, rest = (rest + read).rpartition(b"\n")
            if newline:
                lines = whole.split(b"\n")
                yield _parsed(lines, first)
                first += len(lines)
    if rest:
        yield _parsed([rest], first)


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
