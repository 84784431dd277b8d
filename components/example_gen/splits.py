"""Decides which split each row belongs to."""

from datetime import UTC, datetime
from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import BeamfleetError
from components.example_gen.source import HashSplit, TimeSplit

GAP = "gap"
"""Rows that a time split leaves out."""
NO_TIME = "no time"
"""Rows whose time is missing or unreadable: they are rejected."""

_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_INT64 = np.iinfo(np.int64)
_MISSING = np.uint64(0x6A09E667F3BCC909)


def split_rows(table: pa.Table, splits: HashSplit | TimeSplit) -> dict[str, pa.Array]:
    """Returns for each split (and GAP, NO_TIME) the boolean mask of its rows; each row is in one.

    Raises:
      BeamfleetError: the table lacks a column that the split needs.
    """
    if isinstance(splits, TimeSplit):
        return _split_by_time(table, splits)
    if len(splits.weights) == 1:
        return {splits.names[0]: pa.array(np.ones(table.num_rows, dtype=bool))}
    weights = np.array([weight for _, weight in splits.weights], dtype=np.uint64)
    hashes = hash_rows(table.select(_known(table, splits.columns or table.column_names)))
    index = np.searchsorted(np.cumsum(weights), hashes % weights.sum(), side="right")
    return {name: pa.array(index == i) for i, name in enumerate(splits.names)}


def hash_rows(table: pa.Table) -> npt.NDArray[np.uint64]:
    """Hashes each row by its values, independent of the order of columns and of files.

    A whole number hashes alike as int64 and double, so that a column whose type widens with later
    data keeps its rows where they were.

    Source: SplitMix64 (Steele et al. 2014) over SipHash-2-4 (Aumasson and Bernstein 2012) of
    words, as pandas computes it with its fixed key.
    """
    hashes = np.zeros(table.num_rows, dtype=np.uint64)
    for name in sorted(table.column_names):
        hashes = _mix(hashes + _STEP + _hash_column(table[name].combine_chunks()))
    return hashes


def _hash_column(column: pa.Array) -> npt.NDArray[np.uint64]:
    if pa.types.is_dictionary(column.type):
        words = _hash_words(column.dictionary)
        indices = pc.fill_null(column.indices, len(words)).to_numpy()
        return np.asarray(np.append(words, _MISSING)[indices], np.uint64)
    if pa.types.is_string(column.type):
        return _hash_words(column)
    hashes = _hash_numbers(column)
    if column.null_count:
        hashes[column.is_null().to_numpy(zero_copy_only=False)] = _MISSING
    return hashes


def _hash_words(words: pa.Array) -> npt.NDArray[np.uint64]:
    objects = words.to_numpy(zero_copy_only=False).astype(object)
    hashes = np.asarray(pd.util.hash_array(objects, categorize=False), dtype=np.uint64)
    if words.null_count:
        hashes[words.is_null().to_numpy(zero_copy_only=False)] = _MISSING
    return hashes


def _hash_numbers(column: pa.Array) -> npt.NDArray[np.uint64]:
    numbers = column.fill_null(0).to_numpy()
    if numbers.dtype != np.float64:
        return _mix(numbers.astype(np.uint64))
    with np.errstate(invalid="ignore"):
        whole = numbers.astype(np.int64)
    is_whole = (whole == numbers) & (np.abs(numbers) <= 2**53)
    return _mix(np.where(is_whole, whole.view(np.uint64), numbers.view(np.uint64)))


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX_2
    return bits ^ (bits >> np.uint64(31))


def _split_by_time(table: pa.Table, splits: TimeSplit) -> dict[str, pa.Array]:
    _known(table, (splits.column,))
    times = _times(table[splits.column].combine_chunks(), splits)
    start = splits.eval_from
    eval_from = Fraction(_seconds(start) if isinstance(start, str) else start)
    no_time = pc.is_null(times, nan_is_null=True)
    train = _is_before(times, eval_from - Fraction(splits.gap))
    before_eval = _is_before(times, eval_from)
    return {
        "train": train,
        "eval": pc.invert(pc.or_(before_eval, no_time)),
        GAP: pc.and_not(before_eval, train),
        NO_TIME: no_time,
    }


def _is_before(times: pa.Array, moment: Fraction) -> pa.Array:
    """Marks earlier times; whole numbers are compared as such, since nanoseconds need 61 bits."""
    if pa.types.is_floating(times.type):
        return pc.fill_null(pc.less(times, float(moment)), False)
    bound = min(max(ceil(moment), _INT64.min), _INT64.max)
    return pc.fill_null(pc.less(times, pa.scalar(bound, pa.int64())), False)


def _times(column: pa.Array, splits: TimeSplit) -> pa.Array:
    """Returns the times as int64 as they are stored, or as double (seconds, if they are text)."""
    is_text = pa.types.is_dictionary(column.type) or pa.types.is_string(column.type)
    if is_text != isinstance(splits.eval_from, str):
        raise BeamfleetError(
            f"column {splits.column!r} holds {'text' if is_text else 'numbers'}, but the split's "
            f"eval_from is {splits.eval_from!r}; give it in the same form as the column"
        )
    if not is_text:
        return column
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    moments = pa.array([_seconds(word) for word in column.dictionary.to_pylist()], pa.float64())
    return moments.take(column.indices)


def _seconds(word: str | None) -> float:
    """Returns the Unix time of ISO 8601 text; NaN if it is none."""
    try:
        moment = datetime.fromisoformat(word or "")
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _known(table: pa.Table, columns: tuple[str, ...] | list[str]) -> list[str]:
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise BeamfleetError(
            f"the split needs column {missing}; the rows have {table.column_names}"
        )
    return list(columns)
