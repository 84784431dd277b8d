"""Metrics by slices: a chart for each slicing, and all figures, the worst slice first."""

import math
from collections.abc import Iterator
from typing import Any

from components.words import counted
from pipelines.report.data.slices import Slice, Slices, read_slices
from pipelines.report.figures import Figure, charts, label
from pipelines.report.markup import Html, absent, details, fill, join, table
from pipelines.report.source import Source
from pipelines.report.words import change, count, goodness, metric, metric_name

_CURRENT = {"pushed": "current model", "blessed": "latest blessed model"}
_MOST_SLICES, _MOST_CHARTS = 1200, 12
"""In all tables together, and charts."""
_DRAWN = 60
"""Slices of one slicing in a chart, the largest ones."""


def render(source: Source) -> Html:
    """What slices.parquet of the evaluation has."""
    head = Html("<h3>By slices</h3>")
    node = source.evaluator
    file = source.file(node.name, "evaluation", "slices.parquet") if node else None
    # Of entity models the candidate is only a part of what was measured.
    ours = "new version" if node and node.name == "EntityEvaluator" else "candidate"
    if file is None:
        asked = source.summary.evaluation.get("slices")
        where = f"tfma.load_eval_result({source.summary.paths.get('evaluation', '')!r})"
        why = f"they are in TFMA's format: {where}" if asked else "none were asked for"
        return join([head, absent(f"No slices here: {why}.")])
    found = read_slices(file)
    if not found.slicings():
        return join([head, absent("None were asked for: .evaluate(..., slices=[...]).")])
    return join([head, charts(_figures(found, ours)), *_tables(found)])


def _figures(found: Slices, ours: str) -> Iterator[Figure]:
    """The first metric of every slice, for each slicing: numbers to the right, words downwards."""
    name = found.metrics[0]
    for number, columns in enumerate(found.slicings()[:_MOST_CHARTS]):
        known = [s for s in found.slices if s.columns == columns and s.values[name] is not None]
        largest = sorted(known, key=lambda s: -s.rows)[:_DRAWN]
        if not largest:
            continue
        along = all(_only(s).lstrip("-").isdigit() for s in largest)
        shown = sorted(largest, key=lambda s: int(_only(s)) if along else (s.values[name] or 0))
        traces = [_dots(shown, name, ours, "s0", along=along)]
        for model in found.models:
            traces.append(
                _dots(shown, f"{model}_{name}", _CURRENT.get(model, model), "s1", along=along)
            )
        words, measured = " x ".join(columns), metric_name(name)
        title = f"{measured[0].upper()}{measured[1:]} by {words}"
        few = f", the largest {_DRAWN}" if len(known) > _DRAWN else ""
        overall = found.overall.values[name] if found.overall else None
        axis = f"{measured} (dotted: overall)"
        yield Figure(
            f"slices-{number}", f"{title}{few}", traces,
            x=words if along else axis, y=axis if along else "",
            layout=_layout(overall, along=along),
            height=320 if along else max(240, 90 + 24 * len(shown)), wide=True,
        )  # fmt: skip


def _layout(overall: float | None, *, along: bool) -> dict[str, Any]:
    layout: dict[str, Any] = {} if along else {"yaxis": {"type": "category"}}
    if overall is not None:
        to_the_right = {"xref": "paper", "x0": 0, "x1": 1, "y0": overall, "y1": overall}
        upwards = {"yref": "paper", "y0": 0, "y1": 1, "x0": overall, "x1": overall}
        line = {"color": "quiet", "dash": "dot", "width": 1.5}
        layout["shapes"] = [{"type": "line", "line": line, **(to_the_right if along else upwards)}]
    return layout


def _only(one: Slice) -> str:
    return one.name.partition("=")[2] if len(one.columns) == 1 else one.name


def _dots(shown: list[Slice], name: str, words: str, color: str, *, along: bool) -> dict[str, Any]:
    most = max((s.rows for s in shown), default=1) or 1
    places: list[Any] = [int(_only(s)) if along else label(_only(s), 28) for s in shown]
    values = [_rounded(s.values.get(name)) for s in shown]
    size = [7 + 13 * (s.rows / most) ** 0.5 for s in shown]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": label(words),
        "x": places if along else values,
        "y": values if along else places,
        "marker": {"color": color, "size": size},
        "text": [f"{label(s.name)}<br>{count(s.rows)} rows" for s in shown],
        "hovertemplate": f"%{{text}}<br>%{{{'y' if along else 'x'}:.4f}}<extra></extra>",
    }
    ends = [s.intervals.get(name) for s in shown]
    known = [(e, v) for e, v in zip(ends, values, strict=True) if e and v is not None]
    if known and len(known) == len(shown):
        trace["error_y" if along else "error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [_rounded(high - v) for (_, high), v in known],
            "arrayminus": [_rounded(v - low) for (low, _), v in known],
            "thickness": 1,
        }
    return trace


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def _tables(found: Slices) -> Iterator[Html]:
    """Every slicing, the worst slice first."""
    most = max(20, _MOST_SLICES // len(found.slicings()))
    for columns in found.slicings():
        rows = [s for s in found.slices if s.columns == columns]
        first = found.metrics[0]
        rows.sort(key=lambda s: _badness(s, first))
        shown = [_row(s, found) for s in rows[:most]]
        heads = []
        for name in found.metrics:
            heads += [metric_name(name), *(f"change to {_CURRENT.get(m, m)}" for m in found.models)]
        made = table([" x ".join(columns), "rows", *heads], shown, label=f"Slices by {columns}")
        more = f" (the worst {most})" if len(rows) > most else ""
        words = f"{counted(len(rows), 'slice')} by {' x '.join(columns)}{more}, worst first"
        yield details(words, made)


def _badness(one: Slice, name: str) -> tuple[bool, float]:
    value = one.values[name]
    return (True, 0.0) if value is None else (False, goodness(name, value))


def _row(one: Slice, found: Slices) -> list[object]:
    cells: list[object] = [_only(one), count(one.rows)]
    for name in found.metrics:
        value = one.values[name]
        ends = one.intervals.get(name)
        cells.append(metric(value) + (f" ({metric(ends[0])} to {metric(ends[1])})" if ends else ""))
        for model in found.models:
            other = one.values.get(f"{model}_{name}")
            cells.append(_change(name, value, other))
    return cells


def _change(name: str, value: float | None, other: float | None) -> Html:
    if value is None or other is None:
        return Html("-")
    difference = value - other
    better = goodness(name, value) - goodness(name, other)
    kind = "" if abs(better) < 1e-9 else "good" if better > 0 else "bad"
    return fill('<span class="word {}">{}</span>', kind, change(difference))
