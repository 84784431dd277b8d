"""Every entity with its verdict: a table to sort and search, and how the values are distributed."""

from collections.abc import Iterator, Sequence
from typing import Any

from components.entity_evaluator.config import LOWER_IS_BETTER
from pipelines.entity_view import VERDICTS
from pipelines.report.data.entities import EntityTable, read_table
from pipelines.report.figures import Figure, charts, data, label
from pipelines.report.markup import Html, absent, fill, join, notice
from pipelines.report.source import Source
from pipelines.report.words import count, metric_name

_BINS = 30
_MOST_DOTS = 1000
_COLORS = {"blessed": "good", "kept": "s0", "fallback": "quiet", "refused": "bad"}


def render(source: Source) -> Html:
    """Counts, charts, table."""
    found = read_table(source)
    if found is None:
        return absent("This run has no models of single entities.")
    more = len(found.rows) - found.shown
    where = source.summary.paths.get("entity table", "entities.parquet")
    left_out = f"The {count(more)} best entities are left out here; all are in {where}."
    return join(
        [
            _counts(found),
            charts(_figures(found)),
            notice(left_out) if more else "",
            _table(found, ", ".join(source.summary.entity_columns)),
        ]
    )


def _counts(found: EntityTable) -> Html:
    verdicts = found.column("verdict")
    words = [
        fill('<li><span class="dot {}"></span><b>{}</b> {}</li>',
             _COLORS.get(v, "quiet"), count(verdicts.count(v)), VERDICTS.get(v, v))
        for v in dict.fromkeys((*VERDICTS, *verdicts))
    ]  # fmt: skip
    return fill('<ul class="counts">{}</ul>', join(words))


def _figures(found: EntityTable) -> Iterator[Figure]:
    values = found.column("served")
    name = metric_name(found.metric)
    if any(v is not None for v in values):
        title = f"{name[0].upper()}{name[1:]} of the models that serve"
        yield _histogram("entity-values", title, name, found, "served")
    if any(found.column("change")):
        words = next(f.title for f in found.fields if f.name == "change")
        better = "less" if found.metric in LOWER_IS_BETTER else "more"
        title = f"{words[0].upper()}{words[1:]} ({better} is better)"
        yield _histogram("entity-changes", title, f"{name}, difference", found, "change")
    yield from _scatter(found, name)


def _histogram(name: str, title: str, axis: str, found: EntityTable, column: str) -> Figure:
    """Counts of a column in round steps, by verdict."""
    import numpy as np

    pairs = [
        p
        for p in zip(found.column(column), found.column("verdict"), strict=True)
        if p[0] is not None
    ]
    step, edges = _edges([value for value, _ in pairs])
    traces, heights = [], np.zeros(len(edges) - 1, int)
    for verdict in dict.fromkeys((*VERDICTS, *(v for _, v in pairs))):
        counted, _ = np.histogram([value for value, v in pairs if v == verdict], bins=edges)
        if counted.any():
            traces.append(
                {"type": "bar", "name": label(verdict), "y": counted.tolist(), "offset": 0,
                 "x": [float(f"{e:.5g}") for e in edges[:-1]], "width": step * 0.94,
                 "marker": {"color": _COLORS.get(verdict, "quiet")},
                 "hovertemplate": "from %{x}<br>%{y} entities<extra>%{fullData.name}</extra>"}
            )  # fmt: skip
            heights += counted
    every = max(1, len(edges) // 5)
    ticks = [float(f"{e:.5g}") for e in edges[::every]]
    few = {"dtick": 1} if heights.max() <= 6 else {}
    layout = {
        "barmode": "stack",
        "xaxis": {"tickvals": ticks},
        "yaxis": {"rangemode": "tozero", **few},
    }
    return Figure(name, title, traces, x=axis, y="entities", layout=layout)


def _edges(values: Sequence[float]) -> tuple[float, Any]:
    """Bins of a round width: 1, 2 or 5 times a power of ten."""
    import numpy as np

    low, high = min(values), max(values)
    rough = max((high - low) / _BINS, abs(high) * 1e-6, 1e-9)
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(m * power for m in (1, 2, 5, 10) if m * power >= rough))
    first, last = np.floor(low / step + 1e-9), np.floor(high / step + 1e-9) + 1
    return step, np.arange(first, last + 1) * step


def _scatter(found: EntityTable, name: str) -> Iterator[Figure]:
    """Rows and values: a dot for each entity; ten thousand dots would hide each other."""
    pairs = zip(found.column("rows"), found.column("served"), strict=True)
    known = [(rows, value) for rows, value in pairs if value is not None and rows]
    counts = {rows for rows, _ in known}
    if len(counts) < 3:
        return
    traces = _dots(found) if len(known) <= _MOST_DOTS else _cells(known)
    wide = max(counts) / min(counts) > 20
    yield Figure(
        "entity-rows", f"Rows and {name} of each entity", traces, x="evaluated rows", y=name,
        layout={"xaxis": {"type": "log"} if wide else {}},
    )  # fmt: skip


def _dots(found: EntityTable) -> list[dict[str, Any]]:
    names, rows, values = (found.column(n) for n in ("name", "rows", "served"))
    verdicts = found.column("verdict")
    traces = []
    for verdict in dict.fromkeys(verdicts):
        mine = [i for i, v in enumerate(verdicts) if v == verdict and values[i] is not None]
        traces.append(
            {"type": "scatter", "mode": "markers", "name": label(verdict),
             "x": [rows[i] for i in mine], "y": [values[i] for i in mine],
             "text": [label(names[i], 60) for i in mine],
             "marker": {"color": _COLORS.get(verdict, "quiet"), "size": 8, "opacity": 0.8},
             "hovertemplate": "%{text}<br>%{x} rows<br>%{y}<extra></extra>"}
        )  # fmt: skip
    return traces


def _cells(known: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    """How many entities there are of about so many rows and such a value."""
    import numpy as np

    rows, values = (np.array(side, float) for side in zip(*known, strict=True))
    cells, x, y = np.histogram2d(np.log10(rows), values, bins=(40, 30))
    return [
        {"type": "heatmap", "x": [float(f"{v:.4g}") for v in 10 ** ((x[:-1] + x[1:]) / 2)],
         "y": [float(f"{v:.4g}") for v in (y[:-1] + y[1:]) / 2],
         "z": [[int(v) or None for v in row] for row in cells.T],
         "colorscale": "cells", "colorbar": {"title": {"text": "entities"}, "thickness": 12},
         "hovertemplate": "around %{x} rows, %{y}<br>%{z} entities<extra></extra>"}
    ]  # fmt: skip


def _table(found: EntityTable, columns: str) -> Html:
    content = {
        "fields": [{"name": f.name, "title": f.title, "kind": f.kind, "better": f.better}
                   for f in found.fields],
        "rows": found.rows[: found.shown],
    }  # fmt: skip
    return fill(
        '<div class="entity-tools"><label for="entity-search">Search</label>'
        '<input id="entity-search" type="search" placeholder="{}" autocomplete="off">'
        '<label for="entity-verdict">Verdict</label><select id="entity-verdict">'
        '<option value="">all</option></select>'
        '<p id="entity-status" role="status" aria-live="polite"></p></div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of entities">'
        '<table id="entity-table"><thead></thead><tbody></tbody></table></div>'
        '<nav class="pager" id="entity-pager" aria-label="Pages of the table"></nav>'
        "<noscript><p>The table needs scripts: this page has only its own.</p></noscript>{}",
        columns or "entity", data("entity-data", content),
    )  # fmt: skip
