"""Groups of people (or whatever was declared) against each other."""

from collections.abc import Iterator
from typing import Any

from pipelines.fairness import GAP
from pipelines.report.markup import Html, absent, badge, bar, fill, join, notice, table
from pipelines.report.source import Source
from pipelines.report.words import count, metric, metric_name


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
        gaps = [row for row in mine if row["group"] == GAP]
        largest = {
            n: max((abs(r[n]) for r in groups if r[n] is not None), default=1) for n in metrics
        }
        cells = [
            (
                row["group"],
                count(row["rows"]),
                *(_bar(row[n], largest[n]) for n in metrics),
                row["reason"],
            )
            for row in groups
        ]
        cells += [
            ("largest difference", "", *(metric(row[n]) for n in metrics), row["reason"])
            for row in gaps
        ]
        heads = ["group", "rows", *map(metric_name, metrics), "note"]
        yield fill(
            "<h3>{}</h3>{}", column, table(heads, cells, label=f"Groups of {column}", notes=1)
        )


def _bar(value: float | None, largest: float) -> Html:
    return Html("-") if value is None else bar(abs(value) / (largest or 1), metric(value))
