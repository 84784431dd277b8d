"""How the end of a run looks on the terminal."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.render import STATE_STYLES, duration, plain_table
from pipelines.summary import LISTED, WORST, Section, Summary, served_value

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NARROWEST = 12
"""Characters; a reason that is cut shorter says nothing."""
_VERDICT_STYLES = {"blessed": "green", "kept": "cyan", "fallback": "yellow", "refused": "bold red"}


def show_summary(summary: Summary, console: "Console") -> None:
    """Prints the entity table, then one line a section, then the paths."""
    if summary.entities:
        _show_entities(summary, console)
    table = plain_table()
    table.box, table.show_header = None, False
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(summary):
        table.add_row(name, text)
    for name, path in summary.paths.items():
        table.add_row(name, f"[dim]{path}[/]")
    console.print(table)


def _lines(summary: Summary) -> Iterator[tuple[str, str]]:
    style = STATE_STYLES[summary.state]
    cached = f", {_plural(len(summary.cached), 'node')} from the cache" if summary.cached else ""
    yield "run", f"{summary.run} [{style}]{summary.state}[/] in {duration(summary.seconds)}{cached}"
    if summary.examples:
        yield "rows", _rows(summary.examples)
    if summary.training:
        yield "training", _training_rows(summary.training)
        yield "entities", _training(summary.training)
    if summary.evaluation:
        yield "verdicts", _verdicts(summary.evaluation)
        yield from _overall(summary.evaluation)
    if summary.infra:
        yield "serving", _infra(summary.infra)
    if summary.push:
        yield "pushed", _push(summary.push)
    if summary.inference:
        yield "bulk inference", _inference(summary.inference)


def _rows(section: Section) -> str:
    apart = ("rows_in", "rows_rejected", "rows_gap")
    splits = [
        f"{_number(count)} {name.removeprefix('rows_')}"
        # ML Metadata keeps no order: the split to train on first.
        for name, count in sorted(section.items(), key=_train_first)
        if name.startswith("rows_") and name not in apart
    ]
    rejected = section.get("rows_rejected", 0)
    text = f"{_number(section.get('rows_in', 0))} in, {_number(rejected)} rejected"
    if section.get("rows_gap"):
        splits.append(f"{_number(section['rows_gap'])} in the gap")
    where = f"; rejects: {section['rejects']}" if section.get("rejects") else ""
    return f"{text}; {', '.join(splits)}{where}"


def _train_first(item: tuple[str, Any]) -> tuple[bool, str]:
    return item[0] != "rows_train", item[0]


def _training_rows(section: Section) -> str:
    left_out = [
        f"{_number(section[name])} {words}"
        for name, words in (
            ("rows_dropped", "with a missing value"),
            ("rows_without_label", "without label"),
            ("rows_without_entity", "without entity"),
            ("rows_sampled_out", "beyond max_rows"),
            ("rows_small", "of small entities, for the fallback only"),
            ("rows_failed", "of failed entities"),
        )
        if section.get(name)
    ]
    text = f"{_number(section.get('rows_trained', 0))} rows in own models"
    return f"{text}; left out: {', '.join(left_out)}" if left_out else text


def _training(section: Section) -> str:
    failed = section.get("entities_failed", 0)
    words = f"[bold red]{failed} failed[/]" if failed else "0 failed"
    return (
        f"{_number(section.get('entities_trained', 0))} trained, {words}, "
        f"{_number(section.get('entities_small', 0))} too small"
    )


def _verdicts(section: Section) -> str:
    counts = [
        f"{_number(section.get(f'entities_{verdict}', 0))} {words}"
        for verdict, words in (
            ("blessed", "blessed"),
            ("kept", "kept"),
            ("fallback", "on the fallback"),
            ("refused", "refused"),
        )
    ]
    style, word = ("green", "blessed") if section["blessed"] else ("bold red", "not blessed")
    why = "" if section["blessed"] or not section["reason"] else f": {section['reason']}"
    return f"{', '.join(counts)}; as a whole [{style}]{word}[/]{why}"


def _overall(section: Section) -> Iterator[tuple[str, str]]:
    models: Mapping[str, Any] = section["overall"]
    composed = models.get("composed", {})
    if not composed:
        return
    others = [name for name in ("pushed", "fallback", "majority") if models.get(name)]
    for metric, value in composed.items():
        against = ", ".join(f"{name} {_figure(models[name].get(metric))}" for name in others)
        yield metric, f"{_figure(value)} [dim]({against})[/]"


def _infra(section: Section) -> str:
    style, word = ("green", "blessed") if section["blessed"] else ("bold red", "not blessed")
    units = (
        ("import_s", "import {:.1f} s"),
        ("startup_s", "load to ready {:.2f} s"),
        ("p50_ms", "p50 {:.1f} ms"),
        ("p99_ms", "p99 {:.1f} ms"),
        ("rss_mb", "{:.0f} MB"),
    )
    figures = [text.format(section[name]) for name, text in units if name in section]
    why = f": {section['reason']}" if section.get("reason") else ""
    return f"[{style}]{word}[/]{why} ({', '.join(figures)})"


def _push(section: Section) -> str:
    if section["pushed"]:
        directory = shlex.quote(section["directory"])
        serve = f"beamfleet serve {directory}"
        now = f"; [yellow]version {section['current']} is current now[/]"
        moved = now if section["current"] not in (0, section["version"]) else ""
        where = f"to {section['directory']}{moved}"
        return f"[green]version {section['version']}[/] {where}\n[dim]{serve}[/]"
    current = f"version {section['version']} stays" if section["version"] else "nothing is pushed"
    return f"[yellow]no new version[/], {current}: {section['reason']}"


def _inference(section: Section) -> str:
    if section.get("skipped"):
        return f"[yellow]skipped[/]: {section['skipped']}"
    rejected = section.get("rows_rejected", 0)
    unread = f"; {_number(rejected)} more rows could not be read" if rejected else ""
    return (
        f"{_number(section.get('rows', 0))} of {_number(section.get('rows_in', 0))} rows predicted "
        f"with version {section.get('model_version', 0)}, "
        f"{_number(section.get('rows_fallback', 0))} by the fallback, "
        f"{_number(section.get('rows_failed', 0))} failed{unread}"
    )


def _show_entities(summary: Summary, console: "Console") -> None:
    rows = summary.entities if len(summary.entities) <= LISTED else summary.worst
    # Reasons are long: they get what is left of the line, and no column has to give way to them.
    bare = _entity_table(summary, rows, 0)
    console.print(_entity_table(summary, rows, console.width - console.measure(bare).maximum - 3))


def _entity_table(summary: Summary, rows: Sequence[Section], reason_width: int) -> "Table":
    metric = summary.entities[0]["metric"]
    numbers = ("rows", metric, "pushed", "fallback")
    table = plain_table("entity", *numbers, "verdict", right=numbers)
    if len(rows) < len(summary.entities):
        table.title = f"the {WORST} worst of {_number(len(summary.entities))} entities"
    if reason_width >= _NARROWEST:
        table.add_column("reason", no_wrap=True, overflow="ellipsis", max_width=reason_width)
    for row in rows:
        reason = [_escaped(row["reason"] or "")] if reason_width >= _NARROWEST else []
        table.add_row(*_cells(row), *reason)
    return table


def _cells(row: Section) -> Iterator[str]:
    style = _VERDICT_STYLES.get(row["verdict"])
    yield _escaped(row["entity"])
    yield _number(row["rows"])
    yield _figure(served_value(row))
    yield _figure(row["baseline"])
    yield _figure(row["fallback_value"])
    yield f"[{style}]{row['verdict']}[/]" if style else row["verdict"]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _number(value: int) -> str:
    return f"{value:,}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
