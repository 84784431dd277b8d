"""How a comparison of two runs looks on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.comparing import Change, Comparison, NodeSeconds
from pipelines.comparing_metrics import EntityChange, MetricChange, SliceChange, improvement
from pipelines.entities import LISTED
from pipelines.render import clock, duration, escaped, figure, number, plain_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LONGEST = 60
"""Characters of a value."""


def show_comparison(comparison: Comparison, console: "Console") -> None:
    """Prints what differs, the most telling last, as `show` does."""
    _show(console, "seconds for each node", _seconds(comparison))
    _show(console, "infra figures", _changes(comparison.infra) if comparison.infra else None)
    for title, changes in (
        ("parameters that differ", comparison.parameters),
        ("code that differs", comparison.code),
        ("data that differs", comparison.data),
    ):
        _show(console, title, _changes(changes) if changes else None)
    shown = _of(len(comparison.entities), comparison.entities_of, "entities")
    _show(console, f"{shown} differ, worst first", _entities(comparison))
    names = len({change.slice for change in comparison.slices})
    shown = _of(names, comparison.slices_of, "slices")
    _show(console, f"{shown} differ, worst first", _slices(comparison))
    _show(console, "metrics", _metrics(comparison))
    for letter, head in (("a", comparison.a), ("b", comparison.b)):
        console.print(
            f"{letter}  {escaped(head['run'])} of {escaped(head['pipeline'])}, {head['state']} in "
            f"{duration(head['seconds'])}, {clock(head['started'])}, {escaped(head['root'])}"
        )
    if comparison.not_comparable:
        why = escaped(comparison.not_comparable)
        console.print(f"[bold yellow]metrics are not comparable[/]: {why}")
    elif comparison.metrics:
        console.print("metrics are of the same rows")
    if not (comparison.parameters or comparison.code or comparison.data):
        console.print("parameters, code and data are the same")


def _of(count: int, of: int, what: str) -> str:
    listed = f" ({LISTED} are listed, --json has all)" if count > LISTED else ""
    return f"{number(count)} of {number(of)} {what}{listed}"


def _show(console: "Console", title: str, table: "Table | None") -> None:
    if table is not None and table.row_count:
        table.title, table.title_justify = title, "left"
        console.print(table)


def _changes(changes: Sequence[Change]) -> "Table":
    table = plain_table("node", "name", "a", "b")
    for change in changes:
        table.add_row(change.node, escaped(change.name), _value(change.a), _value(change.b))
    return table


def _value(value: Any) -> str:
    if value is None:
        return "-"
    text = figure(value) if isinstance(value, float) else str(value)
    return escaped(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def _metrics(comparison: Comparison) -> "Table":
    table = plain_table("model", "metric", "a", "b", "b - a", right=("a", "b", "b - a"))
    for change in comparison.metrics:
        table.add_row(
            change.model, change.metric, figure(change.a), figure(change.b),
            _signed(change),
        )  # fmt: skip
    return table


def _slices(comparison: Comparison) -> "Table":
    numbers = ("rows a", "rows b", "a", "b", "b - a")
    table = plain_table("slice", "metric", *numbers, right=numbers)
    for change in comparison.slices[:LISTED]:
        table.add_row(
            escaped(change.slice), change.metric, _count(change.rows_a), _count(change.rows_b),
            figure(change.a), figure(change.b), _signed(change),
        )  # fmt: skip
    return table


def _entities(comparison: Comparison) -> "Table":
    numbers = ("rows a", "rows b", "a", "b", "b - a")
    table = plain_table("entity", *numbers, "metric", "verdict a", "verdict b", right=numbers)
    for change in comparison.entities[:LISTED]:
        table.add_row(
            escaped(change.entity), _count(change.rows_a), _count(change.rows_b),
            figure(change.a), figure(change.b), _signed(change),
            change.metric, change.verdict_a or "-", change.verdict_b or "-",
        )  # fmt: skip
    return table


def _seconds(comparison: Comparison) -> "Table":
    table = plain_table("node", "a", "b", "b - a", right=("a", "b", "b - a"))
    for node in comparison.seconds:
        both = node.a is not None and node.b is not None
        change = f"{(node.b or 0) - (node.a or 0):+.1f} s" if both else "-"
        table.add_row(node.node, _took(node, "a"), _took(node, "b"), change)
    return table


def _took(node: NodeSeconds, side: str) -> str:
    seconds, state = getattr(node, side), getattr(node, f"state_{side}")
    if seconds is None:
        return "-"
    return duration(seconds) + ("" if state == "done" else f" ({state})")


def _count(value: int | None) -> str:
    return "-" if value is None else number(value)


def _signed(change: MetricChange | SliceChange | EntityChange) -> str:
    if change.difference is None or change.a is None or change.b is None:
        return "-"
    text = f"{change.difference:+.4g}" if change.difference else "0"
    return f"[red]{text}[/]" if improvement(change.metric, change.a, change.b) < 0 else text
