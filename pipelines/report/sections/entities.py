"""Every entity with its verdict: a table to sort and search, and how the values are distributed."""

from collections.abc import Iterator, Sequence
from typing import Any

from components.entity_evaluator.config import LOWER_IS_BETTER
from pipelines.entity_view import VERDICTS
from pipelines.report.data.entities import EntityTable, read_table
from pipelines.report.figures import Figure, charts, data
from pipelines.report.markup import Html, absent, fill, join, notice
from pipelines.report.source import Source
from pipelines.report.words import count, metric_name

_BINS = 40
_COLORS = {"blessed": "good", "kept": "s0", "fallback": "quiet", "refused": "bad"}


def render(source: Source) -> Html:
    """Counts, charts, table."""
    found = read_table(source)
    if found is None:
        return absent("This run has no models of single entities.")
    more = found.total - len(found.rows)
    return join(
        [
            _counts(found),
            charts(_figures(found)),
            notice(f"The {count(more)} best entities are left out here; all are in "
                   f"{source.summary.paths.get('entity table', 'entities.parquet')}.") if more else "",
            _table(found, ", ".join(source.summary.entity_columns)),
        ]
    )  # fmt: skip


def _counts(found: EntityTable) -> Html:
    verdicts = found.column("verdict")
    words = [
        fill('<li><span class="dot {}"></span><b>{}</b> {}</li>',
             _COLORS.get(v, "quiet"), count(verdicts.count(v)), VERDICTS.get(v, v))
        for v in dict.fromkeys((*VERDICTS, *verdicts))
    ]  # fmt: skip
    return fill('<ul class="counts">{}</ul>', join(words))


def _figures(found: EntityTable) -> Iterator[Figure]:
    verdicts = found.column("verdict")
    name = metric_name(found.metric)
    values = found.column("served")
    if any(v is not None for v in values):
        yield Figure("entity-values", f"{name.capitalize() if name.islower() else name} of the "
                     "models that serve", _bars(values, verdicts), x=name, y="entities",
                     layout={"barmode": "stack", "bargap": 0.04})  # fmt: skip
    changes = found.column("change")
    title = next((f.title for f in found.fields if f.name == "change"), "change")
    if any(v for v in changes):
        better = "less" if found.metric in LOWER_IS_BETTER else "more"
        yield Figure("entity-changes", f"{title.capitalize()} ({better} is better)",
                     _bars(changes, verdicts), x=f"{name}, difference", y="entities",
                     layout={"barmode": "stack", "bargap": 0.04})  # fmt: skip
    yield from _scatter(found, values, verdicts, name)


def _bars(values: Sequence[Any], verdicts: Sequence[str]) -> list[dict[str, Any]]:
    """A histogram for each verdict, over the same bins."""
    import numpy as np

    known = [v for v in values if v is not None]
    edges = np.histogram_bin_edges(known, bins=min(_BINS, max(8, len(set(known)))))
    middles = [float(f"{m:.5g}") for m in (edges[:-1] + edges[1:]) / 2]
    traces = []
    for verdict in dict.fromkeys((*VERDICTS, *verdicts)):
        mine = [v for v, w in zip(values, verdicts, strict=True) if w == verdict and v is not None]
        if mine:
            heights, _ = np.histogram(mine, bins=edges)
            traces.append(
                {"type": "bar", "name": verdict, "x": middles, "y": heights.tolist(),
                 "marker": {"color": _COLORS.get(verdict, "quiet")},
                 "width": float(edges[1] - edges[0]) * 0.96,
                 "hovertemplate": "around %{x}<br>%{y} entities<extra>%{fullData.name}</extra>"}
            )  # fmt: skip
    return traces


def _scatter(
    found: EntityTable, values: Sequence[Any], verdicts: Sequence[str], name: str
) -> Iterator[Figure]:
    """Rows and values, as counts in cells: ten thousand dots would hide each other."""
    import numpy as np

    pairs = [(r, v) for r, v in zip(found.column("rows"), values, strict=True) if v is not None and r]
    if len({r for r, _ in pairs}) < 3:
        return
    rows, known = (np.array(side, float) for side in zip(*pairs, strict=True))
    if len(pairs) <= 1000:
        names = found.column("name")
        traces = []
        for verdict in dict.fromkeys(verdicts):
            mine = [i for i, w in enumerate(verdicts) if w == verdict and values[i] is not None]
            traces.append(
                {"type": "scatter", "mode": "markers", "name": verdict,
                 "x": [found.column("rows")[i] for i in mine], "y": [values[i] for i in mine],
                 "text": [_safe(names[i]) for i in mine],
                 "marker": {"color": _COLORS.get(verdict, "quiet"), "size": 8, "opacity": 0.8},
                 "hovertemplate": "%{text}<br>%{x} rows<br>%{y}<extra></extra>"}
            )  # fmt: skip
    else:
        cells, x, y = np.histogram2d(np.log10(rows), known, bins=(40, 30))
        shown = np.where(cells.T > 0, cells.T, np.nan)
        traces = [
            {"type": "heatmap", "x": [float(f"{v:.4g}") for v in 10 ** ((x[:-1] + x[1:]) / 2)],
             "y": [float(f"{v:.4g}") for v in (y[:-1] + y[1:]) / 2],
             "z": [[None if np.isnan(v) else int(v) for v in row] for row in shown],
             "colorscale": "cells", "colorbar": {"title": {"text": "entities"}, "thickness": 12},
             "hovertemplate": "around %{x} rows, %{y}<br>%{z} entities<extra></extra>"}
        ]  # fmt: skip
    wide = rows.max() / rows.min() > 20
    yield Figure("entity-rows", f"Rows and {name} of each entity", traces, x="evaluated rows",
                 y=name, layout={"xaxis": {"type": "log"} if wide else {}})  # fmt: skip


def _safe(text: str) -> str:
    from pipelines.report.figures import label

    return label(text, 60)


def _table(found: EntityTable, columns: str) -> Html:
    content = {
        "fields": [{"name": f.name, "title": f.title, "kind": f.kind, "better": f.better}
                   for f in found.fields],
        "rows": found.rows,
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
