"""Figures for the notebooks, by plotly: drawn by JupyterLab's own renderer, without a network."""

import html
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from components.printable import printable
from pipelines.lineage import Graph, Step
from pipelines.lineage_walk import Reached

_COLUMNS = 3
_COLOURS = ("#457b9d", "#e76f51", "#2a9d8f", "#e9c46a")
_ROW_PX, _LINE_PX = 260, 22
_MOST_WORDS, _LONGEST_WORD = 12, 16
_VERDICTS = {"blessed": "#2a9d8f", "kept": "#457b9d", "fallback": "#e9c46a", "refused": "#e76f51"}


def show(figure: go.Figure) -> None:
    """Displays a figure as data: no script, so that it is also drawn where nothing is trusted."""
    figure.show(renderer="plotly_mimetype")


def distributions(statistics: Mapping[str, Any], columns: Sequence[str] = ()) -> go.Figure:
    """Histograms of columns, of several statistics over one another.

    Args:
      statistics: Name -> TFDV's statistics, such as those of the previous and the newest span.
      columns: Which columns; all of them if empty.
    """
    by_name = {
        name: {c.name or ".".join(c.path.step): c for c in given.datasets[0].features}
        for name, given in statistics.items()
    }
    wanted = list(columns) or sorted({c for found in by_name.values() for c in found})
    rows = -(-len(wanted) // _COLUMNS)
    titles = [_text(column) for column in wanted]
    between = {"vertical_spacing": min(0.12, 0.6 / rows), "horizontal_spacing": 0.06}
    figure = make_subplots(rows, min(_COLUMNS, len(wanted)), subplot_titles=titles, **between)
    for place, column in enumerate(wanted):
        for (name, found), colour in zip(by_name.items(), itertools.cycle(_COLOURS), strict=False):
            if column in found:
                trace = _histogram(found[column], name, colour, first=place == 0)
                figure.add_trace(trace, place // _COLUMNS + 1, place % _COLUMNS + 1)
    layout: dict[str, Any] = {"barmode": "overlay", "height": 80 + rows * _ROW_PX}
    return figure.update_layout(template="plotly_white", **layout)


def slices(table: pd.DataFrame, metric: str) -> go.Figure:
    """One dot a slice, as large as its rows, beside the line of all rows.

    Args:
      table: As `notebook.slice_table` gives it.
      metric: A column of it.
    """
    overall = float(table.loc[table["slice"] == "overall", metric].iloc[0])
    rest = table[table["slice"] != "overall"].dropna(subset=[metric]).sort_values(metric)
    figure = go.Figure(
        go.Scatter(
            x=rest[metric],
            y=[_text(name) for name in rest["slice"]],
            mode="markers",
            marker={"size": rest["example_count"] ** 0.5, "sizemin": 4, "sizeref": 2},
            text=[f"{rows:,} rows" for rows in rest["example_count"]],
        )
    )
    figure.add_vline(overall, line_dash="dot", annotation_text=f"all rows {overall:.4g}")
    height = 120 + _LINE_PX * len(rest)
    figure.update_yaxes(dtick=1)  # every name
    return figure.update_layout(template="plotly_white", height=height, xaxis_title=metric)


def models(table: pd.DataFrame) -> go.Figure:
    """Bars of each metric, one for each model: candidates, what is pushed, the trivial one.

    Args:
      table: As `notebook.model_table` gives it.
    """
    figure = go.Figure()
    for name, values in table.iterrows():
        texts = [f"{value:.4g}" for value in values]
        figure.add_bar(x=list(table.columns), y=list(values), name=_text(str(name)), text=texts)
    return figure.update_layout(template="plotly_white", barmode="group", height=380)


def entities(table: pd.DataFrame) -> go.Figure:
    """Every entity's own model against the fallback; above the line its own is better.

    Args:
      table: As `notebook.entity_table` gives it.
    """
    figure = go.Figure()
    known = table.dropna(subset=["value", "fallback_value"])
    for verdict, group in known.groupby("verdict"):
        figure.add_scatter(
            x=group["fallback_value"],
            y=group["value"],
            mode="markers+text" if len(known) <= _MOST_WORDS * 3 else "markers",
            name=str(verdict),
            text=[_text(entity) for entity in group["entity"]],
            textposition="top center",
            marker={"color": _VERDICTS.get(str(verdict)), "size": 10},
        )
    ends = [known[["value", "fallback_value"]].min().min(), known[["value"]].max().max()]
    figure.add_scatter(x=ends, y=ends, mode="lines", line={"dash": "dot"}, name="equal")
    metric = table["metric"].iloc[0]
    layout = {"xaxis_title": f"{metric} of the fallback", "yaxis_title": f"{metric} of its own"}
    return figure.update_layout(template="plotly_white", height=480, **layout)


def lineage(graph: Graph, reached: Reached) -> go.Figure:
    """The steps from left to right, joined where one read what another made; a colour a run."""
    steps = sorted(reached.steps, key=lambda step: step.id)
    makers = {link.artifact: step for step in steps for link in step.outputs}
    columns: dict[int, int] = {}
    for step in steps:  # older ones first: what a step read was made before
        before = [makers[link.artifact].id for link in step.inputs if link.artifact in makers]
        columns[step.id] = 1 + max((columns.get(one, 0) for one in before), default=0)
    places = _places(steps, columns)
    shades = itertools.cycle(_COLOURS)
    colours = {run: next(shades) for run in dict.fromkeys(step.run for step in steps)}
    figure = go.Figure()
    for step in steps:
        for link in step.inputs:
            if (maker := makers.get(link.artifact)) is not None and maker.id in places:
                ends = places[maker.id], places[step.id]
                x, y = [end[0] for end in ends], [end[1] for end in ends]
                figure.add_scatter(x=x, y=y, mode="lines", line={"color": "#ccc"}, hoverinfo="skip")
    figure.add_scatter(
        x=[places[step.id][0] for step in steps],
        y=[places[step.id][1] for step in steps],
        mode="markers+text",
        text=[f"{_text(step.node)}<br>{_text(step.run)}" for step in steps],
        hovertext=[_hover(graph, step) for step in steps],
        textposition="top center",
        marker={"size": 16, "color": [colours[step.run] for step in steps]},
    )
    across, down = zip(*places.values(), strict=True)
    figure.update_layout(template="plotly_white", showlegend=False, margin={"t": 20, "b": 20})
    figure.update_layout(height=120 + 130 * (max(down) - min(down) + 1))
    figure.update_xaxes(visible=False, range=[min(across) - 0.6, max(across) + 0.6])
    return figure.update_yaxes(visible=False, range=[min(down) - 0.5, max(down) + 0.7])


def _places(steps: Sequence[Step], columns: Mapping[int, int]) -> dict[int, tuple[float, float]]:
    """Step -> x and y; the steps of a column below one another, about the middle."""
    places = {}
    for column in set(columns.values()):
        inside = [step.id for step in steps if columns[step.id] == column]
        for row, step_id in enumerate(inside):
            # Neighbours are moved a little, so that their names do not touch.
            places[step_id] = float(column), (len(inside) - 1) / 2 - row + 0.35 * (column % 2)
    return places


def _hover(graph: Graph, step: Step) -> str:
    return "<br>".join(_text(graph.artifacts[link.artifact].uri) for link in step.outputs)


def _histogram(column: Any, name: str, colour: str, *, first: bool) -> go.Bar:
    look = {"name": name, "marker": {"color": colour}, "opacity": 0.6, "showlegend": first}
    look["legendgroup"] = name
    if column.HasField("num_stats"):
        buckets = [b for h in column.num_stats.histograms[:1] for b in h.buckets]
        total = sum(bucket.sample_count for bucket in buckets) or 1
        return go.Bar(
            x=[(bucket.low_value + bucket.high_value) / 2 for bucket in buckets],
            y=[bucket.sample_count / total for bucket in buckets],
            width=[bucket.high_value - bucket.low_value or 1 for bucket in buckets],
            **look,
        )
    words = column.string_stats.rank_histogram.buckets
    total = sum(word.sample_count for word in words) or 1
    shown = words[:_MOST_WORDS]
    return go.Bar(
        x=[_text(_short(word.label)) for word in shown],
        y=[word.sample_count / total for word in shown],
        **look,
    )


def _short(word: str) -> str:
    return word if len(word) <= _LONGEST_WORD else word[: _LONGEST_WORD - 1] + "…"


def _text(text: str) -> str:
    """Words of the data: plotly would take some of them for markup."""
    return html.escape(printable(text), quote=False)
