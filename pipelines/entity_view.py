"""How the entities of an evaluation look on the terminal."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipelines.entities import (
    LISTED,
    Entity,
    Pick,
    entity_name,
    mean_over_rows,
    pick,
    served_value,
)
from pipelines.render import escaped, figure, number, plain_table
from pipelines.summary import Summary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

VERDICTS = {
    "blessed": "blessed",
    "kept": "kept",
    "fallback": "on the fallback",
    "refused": "refused",
}
"""In words."""
_STYLES = {"blessed": "green", "kept": "cyan", "fallback": "yellow", "refused": "bold red"}
_NARROWEST = 12
"""Characters; a reason that is cut shorter says nothing."""


def show_entities(summary: Summary, console: "Console", *, everything: bool) -> None:
    """Prints all entities if they are few or `everything` is wanted, else a pick of them."""
    entities = summary.entities
    if everything or len(entities) <= LISTED:
        _show(summary, console, entities, "worst first")
        return
    picked = pick(entities, min_rows(summary))
    _show(summary, console, picked.worst, _which(picked, summary))
    if picked.gains:
        which = f"{len(picked.gains)} largest gains" if len(picked.gains) > 1 else "only gain"
        title = f"the {which} of own models over the fallback (rows x difference), largest first"
        _show(summary, console, picked.gains, title)


def entity_lines(summary: Summary) -> Iterator[tuple[str, str]]:
    """What the pick leaves out."""
    if len(summary.entities) <= LISTED:
        return
    if small := pick(summary.entities, min_rows(summary)).small:
        yield "small entities", _small(small, min_rows(summary))
    yield "all entities", summary.show_command


def min_rows(summary: Summary) -> int:
    """Rows that an entity needs to be judged alone."""
    return int(summary.evaluation.get("min_eval_rows", 0))


def _which(picked: Pick, summary: Summary) -> str:
    all_of_them = picked.of == len(summary.entities)
    which = "" if all_of_them else f" with {min_rows(summary)} rows or more"
    return f"the {len(picked.worst)} worst of {number(picked.of)} entities{which}, worst first"


def _small(entities: Sequence[Entity], least: int) -> str:
    counts = Counter(entity["verdict"] for entity in entities)
    verdicts = [f"{number(counts[v])} {words}" for v, words in VERDICTS.items() if counts[v]]
    value = mean_over_rows(entities, served_value)
    fallback = mean_over_rows(entities, lambda entity: entity["fallback_value"])
    return (
        f"{number(len(entities))} with fewer than {least} rows, together "
        f"{number(sum(entity['rows'] for entity in entities))} rows: {', '.join(verdicts)}; "
        f"{entities[0]['metric']} {figure(value)} [dim](fallback {figure(fallback)})[/]"
    )


def _show(summary: Summary, console: "Console", rows: Sequence[Entity], title: str) -> None:
    # Reasons are long: they get what is left of the line, and no column has to give way to them.
    bare = _table(summary, rows, title, 0)
    rest = console.width - console.measure(bare).maximum - 3
    console.print(_table(summary, rows, title, rest))


def _table(summary: Summary, rows: Sequence[Entity], title: str, reason_width: int) -> "Table":
    numbers = ("rows", rows[0]["metric"], "pushed", "fallback")
    heading = " / ".join(summary.entity_columns) or "entity"
    table = plain_table(heading, *numbers, "verdict", right=numbers)
    table.title, table.title_justify = title, "left"
    if reason_width >= _NARROWEST:
        table.add_column("reason", no_wrap=True, overflow="ellipsis", max_width=reason_width)
    for row in rows:
        reason = [escaped(row["reason"] or "")] if reason_width >= _NARROWEST else []
        table.add_row(
            escaped(entity_name(row["entity"], summary.entity_columns)), *_cells(row), *reason
        )
    return table


def _cells(row: Entity) -> Iterator[str]:
    style = _STYLES.get(row["verdict"])
    yield number(row["rows"])
    yield figure(served_value(row))
    yield figure(row["baseline"])
    yield figure(row["fallback_value"])
    yield f"[{style}]{row['verdict']}[/]" if style else row["verdict"]
