"""The hash of keys is the same everywhere and for good: shards on disk hang on it."""

import numpy as np
import polars as pl

from components.feature_backfill.shards import key_hashes, parts_of, shards_of

TEXTS = ["", "a", "é", "12345678", "123456789", "card" * 20, "x\0", "x"]
M = (1 << 64) - 1


def splitmix(state: int, word: int) -> int:
    z = ((state ^ word) + 0x9E3779B97F4A7C15) & M
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M
    return z ^ z >> 31


def by_hand(*keys: str | int) -> int:
    """The same, byte by byte."""
    state = 0
    for key in keys:
        if isinstance(key, int):
            state = splitmix(state, key & M)
            continue
        data = key.encode()
        for start in range(0, len(data), 8):
            state = splitmix(state, int.from_bytes(data[start : start + 8], "little"))
        state = splitmix(state, len(data))
    return state


def test_hashes_are_as_written_down() -> None:
    numbers = [0, -1, 7, 2**63 - 1, -(2**63), 1, 2, 3]
    keys = pl.DataFrame({"a": TEXTS, "b": numbers})
    assert key_hashes(keys).tolist() == list(map(by_hand, TEXTS, numbers))
    assert by_hand("c1", 1) == 724512214358913965


def test_neither_batch_nor_slice_matters() -> None:
    keys = pl.DataFrame({"a": TEXTS * 3})
    whole = key_hashes(keys)
    parts = [key_hashes(keys[start : start + 5]) for start in range(0, 24, 5)]
    chunked = pl.concat([keys[:7], keys[7:]], rechunk=False)
    assert np.concatenate(parts).tolist() == whole.tolist() == key_hashes(chunked).tolist()
    assert key_hashes(keys.clear()).tolist() == []


def test_keys_are_spread_evenly() -> None:
    keys = pl.DataFrame({"a": [f"card{n}" for n in range(64_000)]})
    shards = shards_of(keys, 64)
    assert 800 < np.bincount(shards, minlength=64).min() <= np.bincount(shards).max() < 1_200
    inside = parts_of(keys.filter(pl.Series(shards == 5)), 4)
    assert np.bincount(inside, minlength=4).min() > 150
