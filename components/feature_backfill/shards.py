"""Spreads events over shards by a hash of their keys that is the same everywhere, for good."""

import numpy as np
import numpy.typing as npt
import polars as pl

from components.feature_values.ordered import Ints

U64 = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def key_hashes(keys: pl.DataFrame) -> U64:
    """A hash of the keys of each row: of the bytes of text, of 64 bits of integers.

    Source: Steele, Lea, Flood 2014, the finalizer of SplitMix64, chained over words of 8 bytes.
    """
    hashes = np.zeros(keys.height, dtype=np.uint64)
    for column in keys.get_columns():
        hashes = (
            _text(hashes, column)
            if column.dtype == pl.String
            else _mixed(hashes, column.cast(pl.Int64).to_numpy().view(np.uint64))
        )
    return hashes


def shards_of(keys: pl.DataFrame, shards: int) -> Ints:
    """The shard of each row: the upper half of a hash says which."""
    return _share(key_hashes(keys) >> np.uint64(32), shards)


def parts_of(keys: pl.DataFrame, parts: int) -> Ints:
    """Takes the keys of a shard apart: the lower half of a hash says how."""
    return _share(key_hashes(keys) & np.uint64(0xFFFFFFFF), parts)


def _share(half: U64, shards: int) -> Ints:
    return (half * np.uint64(shards) >> np.uint64(32)).astype(np.int64)


def _mixed(hashes: U64, words: U64) -> U64:
    mixed = (hashes ^ words) + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _text(hashes: U64, column: pl.Series) -> U64:
    """Eight bytes at a time, the last ones filled up with zeros, then the length."""
    binary = column.cast(pl.Binary).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets_buffer, data = binary.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)
    offsets = offsets[binary.offset : binary.offset + len(binary) + 1]
    padded = np.zeros((data.size if data else 0) + 8, dtype=np.uint8)
    if data:
        padded[:-8] = np.frombuffer(data, dtype=np.uint8)
    words = np.ndarray(len(padded) - 7, dtype="<u8", buffer=padded, strides=(1,))
    length = np.diff(offsets)
    hashes = hashes.copy()
    for start in range(0, int(length.max(initial=0)), 8):
        rows = np.flatnonzero(length > start)
        left = np.minimum(length[rows] - start, 8).astype(np.uint64)
        kept = np.uint64(0xFFFFFFFFFFFFFFFF) >> (np.uint64(64) - left * np.uint64(8))
        hashes[rows] = _mixed(hashes[rows], words[offsets[rows] + start] & kept)
    return _mixed(hashes, length.astype(np.uint64))
