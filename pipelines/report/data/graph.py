"""The nodes of a run and what flows between them, laid out from top to bottom.

Source: Sugiyama, Tagawa, Toda 1981: layers by the longest path, then fewer crossings by the mean
place of the neighbours. An edge over several layers goes through a bend in each of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipelines.metadata import Run

_ROUNDS = 8


@dataclass(frozen=True)
class Edge:
    """Artifacts that one node made and another one took."""

    start: str
    end: str
    what: tuple[str, ...]
    """Types of the artifacts."""


@dataclass(frozen=True)
class Layout:
    """Where nodes and bends are: layers from the top, places from the left."""

    layers: tuple[tuple[str, ...], ...]
    """Names of nodes; a bend of the edge a -> b is named "a>b@layer"."""
    paths: Mapping[Edge, tuple[str, ...]]
    """Edge -> names from its start over its bends to its end."""


def edges(run: Run) -> list[Edge]:
    """Who took what from whom, within the run."""
    makers = {artifact.uri: node.name for node in run.nodes for artifact in node.outputs}
    found: dict[tuple[str, str], list[str]] = {}
    for node in run.nodes:
        for artifact in node.inputs:
            maker = makers.get(artifact.uri)
            if maker is not None and maker != node.name:
                found.setdefault((maker, node.name), []).append(artifact.type)
    return [Edge(*ends, tuple(sorted(set(what)))) for ends, what in found.items()]


def direct(connections: Sequence[Edge]) -> list[Edge]:
    """Without edges that a longer way says already: a schema that goes to all draws no web."""
    after: dict[str, set[str]] = {}
    for edge in connections:
        after.setdefault(edge.start, set()).add(edge.end)

    def reached(start: str, seen: set[str]) -> set[str]:
        for following in after.get(start, set()) - seen:
            seen.add(following)
            reached(following, seen)
        return seen

    beyond = {name: reached(name, set()) for name in after}
    return [
        edge
        for edge in connections
        if not any(edge.end in beyond.get(n, ()) for n in after[edge.start] - {edge.end})
    ]


def lay_out(nodes: Sequence[str], connections: Sequence[Edge]) -> Layout:
    """Puts every node below all that it takes something from.

    Args:
      nodes: Names, each behind those that it depends on.
      connections: Between these.
    """
    depth = _depths(nodes, connections)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        layers[depth[node]].append(node)
    paths = {}
    for edge in connections:
        bends = [
            f"{edge.start}>{edge.end}@{n}" for n in range(depth[edge.start] + 1, depth[edge.end])
        ]
        for number, bend in enumerate(bends, depth[edge.start] + 1):
            layers[number].append(bend)
        paths[edge] = (edge.start, *bends, edge.end)
    _uncross(layers, list(paths.values()))
    return Layout(tuple(map(tuple, layers)), paths)


def _depths(nodes: Sequence[str], connections: Sequence[Edge]) -> dict[str, int]:
    depth = dict.fromkeys(nodes, 0)
    for _ in nodes:  # as often as the longest path could need
        before = dict(depth)
        for edge in connections:
            depth[edge.end] = max(depth[edge.end], depth[edge.start] + 1)
        if depth == before:
            break
    return depth


def _uncross(layers: list[list[str]], paths: Sequence[Sequence[str]]) -> None:
    """Orders every layer by the mean place of the neighbours, downwards and upwards in turn."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for path in paths:
        for first, second in pairwise(path):
            above.setdefault(second, []).append(first)
            below.setdefault(first, []).append(second)
    for number in range(_ROUNDS):
        down = number % 2 == 0
        neighbours = above if down else below
        for layer in layers if down else layers[::-1]:
            places = {name: p / len(row) for row in layers for p, name in enumerate(row)}
            layer.sort(key=lambda name: _mean([places[n] for n in neighbours.get(name, [name])]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
