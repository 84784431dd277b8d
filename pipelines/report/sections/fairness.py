"""Groups of people (or whatever was declared) against each other."""

from collections.abc import Iterator
from typing import Any

from pipelines.fairness import GAP
from pipelines.report.markup import Html, absent, badge, bar, fill, join, notice, table
from pipelines.report.source import Source
from pipelines.report.words import count, metric, metric_name

_MOST_GROUPS = 200
"""Of a column in the page."""


def render(source: Source) -> Html:
    """The largest gap, then all groups of each column."""
    import pyarrow.parquet as pq

    node = source.evaluator
    file = source.file(node.name, "evaluation", "fairness.parquet") if node else None
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist() if file else []
    if not rows:
        return absent("No columns were declared for it: .evaluate(..., fairness=[...]).")
    return join([_largest(source), *_tables(rows)])


def _largest(source: Source) -> Html:
    found = source.summary.fairness
    if "gap" not in found:
        return notice("Fewer than two groups are large enough to be compared.", "info")
    highest, lowest = found["highest"], found["lowest"]
    return fill(
        "<p>{} {}: {} {} of <b>{}</b>, {} of <b>{}</b> ({}).</p>",
        badge("largest gap", "quiet"), metric(found["gap"]), metric_name(found["metric"]),
        metric(highest["value"]), highest["group"], metric(lowest["value"]), lowest["group"],
        found["column"],
    )  # fmt: skip


def _tables(rows: list[dict[str, Any]]) -> Iterator[Html]:
    known = ("column", "group", "rows", "reason")
    metrics = [name for name in rows[0] if name not in known]
    for column in dict.fromkeys(row["column"] for row in rows):
        mine = [row for row in rows if row["column"] == column]
        groups = [row for row in mine if row["group"] != GAP]
        left_out = len(groups) - _MOST_GROUPS
        if left_out > 0:
            groups = sorted(groups, key=lambda row: -row["rows"])[:_MOST_GROUPS]
        gaps = [row for row in mine if row["group"] == GAP]
        cells = [*_cells(groups, metrics), *(_gap(row, metrics) for row in gaps)]
        heads = ["group", "rows", *map(metric_name, metrics), "note"]
        made = table(heads, cells, label=f"Groups of {column}", notes=1)
        words = f"The {_MOST_GROUPS} largest groups; {count(left_out)} more are in the evaluation."
        more = notice(words, "info") if left_out > 0 else ""
        yield fill("<h3>{}</h3>{}{}", column, made, more)


def _cells(groups: list[dict[str, Any]], metrics: list[str]) -> Iterator[list[object]]:
    largest = {n: max((abs(r[n]) for r in groups if r[n] is not None), default=1) for n in metrics}
    for row in groups:
        bars = (_bar(row[name], largest[name]) for name in metrics)
        yield [row["group"], count(row["rows"]), *bars, row["reason"]]


def _gap(row: dict[str, Any], metrics: list[str]) -> list[object]:
    return ["largest difference", "", *(metric(row[name]) for name in metrics), row["reason"]]


def _bar(value: float | None, largest: float) -> Html:
    return Html("-") if value is None else bar(abs(value) / (largest or 1), metric(value))
