"""Windows whose events do not leave in the order in which they came."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from components.feature_values.merging import Arrays, Merge, merged_ranges, taken
from components.feature_values.ordered import Ints
from components.feature_values.sweeps import NO_VALUE, Pairs, Sweep
from components.features.aggregator import Aggregator


@dataclass(frozen=True)
class Tree(Sweep):
    """Event i is in the window from point first[i] up to, and without, point last[i].

    A binary tree stands over the points. The state of an event is put on the few nodes that make
    up its span, and a point has what is on the nodes above it: n events cost at most 2 n log(span)
    merges, in any order.
    """

    enter: Ints
    leave: Ints
    points: int
    code: Ints
    """Key of each event; never falls."""

    def merged(self, states: Arrays, merge: Merge, zero: Arrays) -> Arrays:
        nodes, left, rows = self._nodes
        on_nodes = merged_ranges(taken(states, rows), merge, zero, left[:-1], left[1:])
        slots = np.full(2 * self._leaves, -1)
        slots[nodes] = np.arange(len(nodes))
        out = tuple(
            np.full(self.points, none[0], dtype=one.dtype)
            for one, none in zip(states, zero, strict=True)
        )
        above = np.arange(self.points) + self._leaves
        while above.size and above[0]:
            slot = slots[above]
            some = np.flatnonzero(slot >= 0)
            for one, new in zip(
                out, merge(taken(out, some), taken(on_nodes, slot[some])), strict=True
            ):
                one[some] = new
            above >>= 1
        return out

    @property
    def _leaves(self) -> int:
        return 1 << max(self.points - 1, 0).bit_length()

    @cached_property
    def _nodes(self) -> tuple[Ints, Ints, Ints]:
        """Nodes that hold something, where the events of each begin, and the events."""
        low, high = self.enter + self._leaves, self.leave + self._leaves
        rows = np.arange(len(low))
        found = []
        while rows.size:
            left, right = (low & 1) == 1, (high & 1) == 1
            high = high - right
            found += [(low[left], rows[left]), (high[right], rows[right])]
            low, high = (low + left) >> 1, high >> 1
            going = low < high
            low, high, rows = low[going], high[going], rows[going]
        nodes = np.concatenate([node for node, _ in found] or [rows])
        events = np.concatenate([event for _, event in found] or [rows])
        order = np.argsort(nodes, kind="stable")
        first = np.flatnonzero(np.diff(nodes[order], prepend=-1))
        return nodes[order][first], np.append(first, len(order)), events[order]

    def merged_own(self, own: Aggregator[Any], states: Sequence[Any]) -> list[Any]:
        moves: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        for row, (enter, leave) in enumerate(
            zip(self.enter.tolist(), self.leave.tolist(), strict=True)
        ):
            if states[row] is not NO_VALUE:
                moves[enter].append((row, states[row]))
                moves[leave].append((row, own.zero()))
        edges = np.flatnonzero(np.diff(self.code, prepend=-1, append=-1))
        starts = np.minimum.reduceat(self.enter, edges[:-1]).tolist() if self.points else []
        made: list[Any] = []
        for place, start in enumerate(starts):
            rows = range(int(edges[place]), int(edges[place + 1]))
            until = starts[place + 1] if place + 1 < len(starts) else self.points
            made += _moved(own, rows, range(start, until), moves)
        return made


@dataclass(frozen=True)
class Lifetimes(Tree):
    """Events that never leave: built-in aggregators merge them in the order in which they came."""

    came: Pairs

    def merged(self, states: Arrays, merge: Merge, zero: Arrays) -> Arrays:
        return self.came.merged(states, merge, zero)


def _moved(
    own: Aggregator[Any], rows: range, points: range, moves: dict[int, list[tuple[int, Any]]]
) -> Iterator[Any]:
    """What a tree over the events of a key has at its root at each point: they stay in order."""
    leaves = 1 << (len(rows) - 1).bit_length()
    tree = [own.zero()] * (2 * leaves)
    for point in points:
        for row, state in moves.get(point, ()):
            if row not in rows:
                continue  # an earlier key's that never leaves
            node = row - rows[0] + leaves
            tree[node] = state
            while node > 1:
                node >>= 1
                tree[node] = own.merge(tree[2 * node], tree[2 * node + 1])
        yield tree[1]
