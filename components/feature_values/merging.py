"""Partial aggregates of ranges of events, merged and never subtracted.

What leaves a window is not taken off a sum: that drifts, and infinity or NaN would never leave.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from components.feature_values.ordered import Ints

Arrays = tuple[npt.NDArray[Any], ...]
"""Partial aggregates, one array a part of the state: (count, mean, sum of squared distances)."""
Merge = Callable[[Arrays, Arrays], Arrays]
"""`merge(earlier, later)`, element by element; associative; with broadcasting."""


def merged_ranges(states: Arrays, merge: Merge, zero: Arrays, left: Ints, right: Ints) -> Arrays:
    """Merges the states of [left, right) for each range.

    A range longer than 2**k and at most 2**(k + 1) meets two or three blocks of 2**k: what it has
    of the first is a suffix, of the last a prefix of the block. Prefixes and suffixes of blocks
    twice as long are made of those before, so that n states cost n merges for each power of two
    up to the longest range.

    Args:
      states: n each.
      merge: See Merge.
      zero: The state of no events, one element each: what an empty range gives.
      left: From which state on.
      right: Up to, and without, which.

    Source: van Herk 1992, Gil and Werman 1993, with blocks of several lengths.
    """
    length = right - left
    out = tuple(
        np.full(len(left), none[0], dtype=one.dtype)
        for one, none in zip(states, zero, strict=False)
    )
    single = np.flatnonzero(length == 1)
    _put(out, single, taken(states, left[single]))
    if not (length > 1).any():
        return out
    level = np.frexp(np.maximum(length, 1) - 1)[1].astype(np.int8) - 1
    highest = int(level.max())
    prefix = _padded(states, zero, 1 << highest)
    suffix = tuple(one.copy() for one in prefix)
    for power in range(highest + 1):
        rows = np.flatnonzero(level == power)
        if rows.size:
            _put(out, rows, _across(prefix, suffix, merge, left[rows], right[rows], power))
        if power < highest:
            _double(prefix, suffix, merge, 1 << power)
    return out


def _across(
    prefix: Arrays, suffix: Arrays, merge: Merge, left: Ints, right: Ints, power: int
) -> Arrays:
    """Ranges that begin in one block and end in the next, or in the one behind it."""
    result = taken(suffix, left)
    block = left >> power
    three = np.flatnonzero(((right - 1) >> power) - block == 2)
    if three.size:
        whole = taken(prefix, ((block[three] + 2) << power) - 1)
        _put(result, three, merge(taken(result, three), whole))
    return merge(result, taken(prefix, right - 1))


def _double(prefix: Arrays, suffix: Arrays, merge: Merge, size: int) -> None:
    """Makes prefixes and suffixes of blocks of `size` into those of blocks twice as long."""
    before = tuple(one.reshape(-1, 2, size) for one in prefix)
    longer = merge(tuple(one[:, 0, -1:] for one in before), tuple(one[:, 1, :] for one in before))
    for one, new in zip(before, longer, strict=True):
        one[:, 1, :] = new
    behind = tuple(one.reshape(-1, 2, size) for one in suffix)
    longer = merge(tuple(one[:, 0, :] for one in behind), tuple(one[:, 1, :1] for one in behind))
    for one, new in zip(behind, longer, strict=True):
        one[:, 0, :] = new


def _padded(states: Arrays, zero: Arrays, block: int) -> Arrays:
    more = -len(states[0]) % block
    return tuple(
        np.concatenate([one, np.full(more, none[0], dtype=one.dtype)])
        for one, none in zip(states, zero, strict=True)
    )


def taken(states: Arrays, rows: Ints) -> Arrays:
    """The states of some rows."""
    return tuple(one[rows] for one in states)


def _put(out: Arrays, rows: Ints, new: Arrays) -> None:
    for one, part in zip(out, new, strict=True):
        one[rows] = part
