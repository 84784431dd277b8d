"""The nodes of the run, as a drawing and with their errors."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from pipelines.metadata import Node
from pipelines.report.data.graph import Edge, Layout, direct, edges, lay_out
from pipelines.report.markup import Html, fill, join, notice, shortened
from pipelines.report.source import Source
from pipelines.report.words import duration

_WIDTH, _HEIGHT, _BEND = 194, 54, 18
"""Pixels of a node, and how wide a bend of an edge is."""
_SIDE, _BELOW = 22, 44
"""Pixels between nodes, and between layers."""
_MARKS = {"done": "✔", "cached": "↺", "failed": "✘", "stopped": "■", "running": "▶"}

_Places = Mapping[str, tuple[float, float]]


def render(source: Source) -> Html:
    """Nodes from the top to the bottom; colour, mark and word say how each ended."""
    run = source.run
    if not run.nodes:
        return notice("The run ended before its first node.")
    nodes = {node.name: node for node in run.nodes}
    layout = lay_out(list(nodes), direct(edges(run)))
    states = ", ".join(f"{n.name} {n.state} in {duration(n.seconds)}" for n in run.nodes)
    return join(
        [
            *_errors(source),
            fill('<div class="scroll graph" tabindex="0" role="region" aria-label="Graph">{}</div>',
                 _drawing(nodes, layout, states)),
            fill('<p class="hint">{}</p>', "A line: the lower node takes what the upper one made. "
                 "Lines that follow from others are left out; Lineage has all."),
        ]
    )  # fmt: skip


def _errors(source: Source) -> Iterator[Html]:
    for node in source.run.nodes:
        if node.error:
            text = f"{node.name} {node.state}: {node.error}"
            yield notice(text, "bad" if node.state == "failed" else "warn")
    if left_out := source.run.left_out:
        yield notice(f"Left out, as their condition did not hold: {', '.join(left_out)}", "info")
    if source.run.state in ("failed", "stopped"):
        yield notice("Nodes behind that one did not run, and are not in the graph.", "info")


def _drawing(nodes: Mapping[str, Node], layout: Layout, states: str) -> Html:
    places, width, height = _places(layout, nodes)
    return fill(
        '<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        '<g class="edges">{}</g>{}</svg>',
        round(width), height, round(width), height, f"Nodes of the run: {states}",
        join(_edge(edge, path, places, set(nodes)) for edge, path in layout.paths.items()),
        join(_node(node, *places[node.name]) for node in nodes.values()),
    )  # fmt: skip


def _places(layout: Layout, nodes: Mapping[str, Node]) -> tuple[_Places, float, int]:
    """Centres of nodes and bends, with the size of the drawing."""
    sizes = [[_WIDTH if n in nodes else _BEND for n in layer] for layer in layout.layers]
    widths = [sum(row) + _SIDE * (len(row) - 1) for row in sizes]
    whole = max(widths)
    places = {}
    for number, (layer, row) in enumerate(zip(layout.layers, sizes, strict=True)):
        left = (whole - widths[number]) / 2
        for name, size in zip(layer, row, strict=True):
            places[name] = (left + size / 2 + 2, number * (_HEIGHT + _BELOW) + _HEIGHT / 2 + 2)
            left += size + _SIDE
    height = len(layout.layers) * (_HEIGHT + _BELOW) - _BELOW + 4
    return places, whole + 4, height


def _edge(edge: Edge, path: tuple[str, ...], places: _Places, nodes: set[str]) -> Html:
    """A smooth line from the lower side of a node over its bends to the upper side of another."""
    points = []
    for name in path:
        x, y = places[name]
        half = _HEIGHT / 2
        if name != edge.start:
            points.append((x, y - half))
        if name != edge.end:
            points.append((x, y + half))
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        parts.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    return fill(
        '<path d="{}"><title>{}</title></path>',
        "".join(parts), f"{edge.start} to {edge.end}: {', '.join(edge.what)}",
    )  # fmt: skip


def _node(node: Node, x: float, y: float) -> Html:
    words = "from cache" if node.state == "cached" else node.state
    return fill(
        '<g class="node {}" transform="translate({} {})"><title>{}</title>'
        '<rect width="{}" height="{}" rx="8"/><text x="12" y="22" class="name">{}</text>'
        '<text x="12" y="41" class="state">{} {}</text>'
        '<text x="{}" y="41" class="time">{}</text></g>',
        node.state, f"{x - _WIDTH / 2:.1f}", f"{y - _HEIGHT / 2:.1f}",
        f"{node.name}: {words} in {duration(node.seconds)}",
        _WIDTH, _HEIGHT, shortened(node.name, 23), _MARKS.get(node.state, "?"), words,
        _WIDTH - 12, duration(node.seconds),
    )  # fmt: skip
