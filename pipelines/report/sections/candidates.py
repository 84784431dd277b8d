"""Several candidates side by side, where there were any."""

from collections.abc import Mapping
from typing import Any

from pipelines.report.markup import Html, fill, join, table
from pipelines.report.source import Source
from pipelines.report.words import count, metric, metric_name


def render(source: Source) -> Html:
    """One row a candidate, then what they are compared with; nothing where there is one only."""
    import pyarrow.parquet as pq

    node = source.evaluator
    file = source.file(node.name, "evaluation", "candidates.parquet") if node else None
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist() if file else []
    if sum(row.get("role") == "candidate" for row in rows) < 2:
        return Html("")
    names = [n for n in rows[0] if f"{n}_low" in rows[0]]  # one may be undefined for the first
    heads = ["name", "rows", *map(metric_name, names), "verdict", "why not"]
    made = table(heads, [_row(row, names) for row in rows], label="Candidates", notes=1)
    return join([Html("<h3>Candidates</h3>"), made])


def _row(row: Mapping[str, Any], names: list[str]) -> list[object]:
    name = row["name"] if row["role"] == "candidate" else f"({row['role']})"
    values = [metric(row[n]) for n in names]
    return [name, count(row.get("rows") or 0), *values, _verdict(row), row.get("reason") or ""]


def _verdict(row: Mapping[str, Any]) -> Html:
    if row["role"] != "candidate":
        return Html("-")
    kind, word = ("good", "passes") if row.get("passes") else ("bad", "fails")
    chosen = ", chosen" if row.get("chosen") else ""
    return fill('<span class="word {}">{}{}</span>', kind, word, chosen)
