"""How the end of a run looks on the terminal."""

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.entity_evaluator.config import REGRESSION_METRICS
from components.pusher.traffic import CHAMPION
from components.words import counted
from pipelines.candidates import interval, show_candidates, warm_start_lines
from pipelines.caption_view import caption_lines, show_captions
from pipelines.entities import serves_own
from pipelines.entity_view import VERDICTS, entity_lines, show_entities
from pipelines.events import CONDITION
from pipelines.feature_view import feature_lines, online_lines, stream_lines
from pipelines.render import STATE_STYLES, duration, escaped, figure, number, plain_table
from pipelines.summary import Section, Summary

if TYPE_CHECKING:
    from rich.console import Console

_NO_OWN_MODEL = (
    "no entity earned its own model: all are served by the model of all rows (a normal result on "
    "small data; try train_fn's parent argument, a simpler model, or more rows)"
)
_SHOWN_ANOMALIES = 6
_NOT_USED = (
    ("rows_dropped", "with a missing value"),
    ("rows_without_label", "without label"),
    ("rows_sampled_out", "beyond max_rows"),
    ("rows_failed", "of failed entities"),
    (
        "rows_without_entity",
        "without an entity key (they can never be predicted: name an entity in clean)",
    ),
)


def show_summary(summary: Summary, console: "Console", *, everything: bool = False) -> None:
    """Prints the entities, all if `everything`; then one line a section, then the paths."""
    if summary.entities:
        show_entities(summary, console, everything=everything)
    show_candidates(summary.evaluation, console)
    if summary.captions:
        show_captions(summary, console, everything=everything)
    table = plain_table()
    table.box, table.show_header = None, False
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(summary):
        table.add_row(name, text)
    for name, path in summary.paths.items():
        table.add_row(name, f"[dim]{escaped(path)}[/]")
    console.print(table)


def _lines(summary: Summary) -> Iterator[tuple[str, str]]:
    style = STATE_STYLES[summary.state]
    cached = f", {counted(len(summary.cached), 'node')} from the cache" if summary.cached else ""
    yield "run", f"{summary.run} [{style}]{summary.state}[/] in {duration(summary.seconds)}{cached}"
    if summary.left_out:
        yield "left out", f"[yellow]{', '.join(summary.left_out)}: {CONDITION}[/]"
    yield from feature_lines(summary.features)
    if summary.examples:
        yield "rows", _rows(summary.examples)
        for note in summary.examples.get("notes", ()):
            yield "", f"[yellow]{escaped(note)}[/]"
    if summary.validation:
        yield from _anomalies(summary.validation)
        if summary.validation.get("proposed"):
            yield "schema", _proposed(summary)
    if summary.tuning:
        yield "tuning", _tuned(summary.tuning)
    yield from warm_start_lines(summary.warm_start)
    if summary.training:
        yield "training", _training_rows(summary.training)
        yield "entities", _training(summary.training)
    if summary.evaluation:
        yield from _verdicts(summary.evaluation)
        if summary.entities and not any(map(serves_own, summary.entities)):
            yield "", f"[yellow]{_NO_OWN_MODEL}[/]"
        if summary.evaluation["notes"]:
            yield "notes", f"[yellow]{escaped(summary.evaluation['notes'])}[/]"
        if summary.evaluation.get("compared_with"):
            yield "compared with", escaped(summary.evaluation["compared_with"])
        yield from entity_lines(summary)
        yield from _overall(summary.evaluation)
        yield from _groups(summary)
    yield from caption_lines(summary)
    if summary.note:
        yield "note", f"[yellow]{escaped(summary.note)}[/]"
    if summary.infra:
        yield "serving", _infra(summary.infra)
    if summary.push:
        yield "pushed", _push(summary)
    yield from stream_lines(summary.stream)
    yield from online_lines(summary.online)
    if summary.inference:
        yield "bulk inference", _inference(summary.inference, of_entities=bool(summary.training))


def _rows(section: Section) -> str:
    apart = ("rows_in", "rows_rejected", "rows_gap", "rows_eval_in_train")
    splits = [
        f"{number(count)} {name.removeprefix('rows_')}"
        # ML Metadata keeps no order: the split to train on first.
        for name, count in sorted(section.items(), key=_train_first)
        if name.startswith("rows_") and name not in apart
    ]
    rejected = section.get("rows_rejected", 0)
    text = f"{number(section.get('rows_in', 0))} in, {number(rejected)} rejected"
    if section.get("rows_gap"):
        splits.append(f"{number(section['rows_gap'])} in the gap")
    if section.get("rows_eval_in_train"):
        splits.append(f"[yellow]{number(section['rows_eval_in_train'])} eval rows are in train[/]")
    where = f"; rejects: {escaped(section['rejects'])}" if section.get("rejects") else ""
    return f"{text}; {', '.join(splits)}{where}"


def _anomalies(section: Section) -> Iterator[tuple[str, str]]:
    found = section["found"]
    if not section["anomalies"]:
        yield "anomalies", "none"
    for line in found[:_SHOWN_ANOMALIES]:
        yield "anomalies" if line == found[0] else "", f"[yellow]{escaped(line)}[/]"
    if (more := section["anomalies"] - _SHOWN_ANOMALIES) > 0:
        yield "", f"[yellow]{more} more[/]: tfdv.display_anomalies of {escaped(section['path'])}"
    if section["notes"]:
        yield "", escaped(section["notes"])


def _proposed(summary: Summary) -> str:
    where = f"{summary.run} --root {shlex.quote(summary.root)}"
    columns = ", ".join(map(escaped, summary.validation["proposed"]))
    return (
        f"[yellow]a change of the reviewed schema is proposed[/], of {columns}\n"
        f"[dim]beamfleet schema diff {escaped(where)}\nbeamfleet schema accept {escaped(where)}[/]"
    )


def _train_first(item: tuple[str, Any]) -> tuple[bool, str]:
    return item[0] != "rows_train", item[0]


def _tuned(section: Section) -> str:
    best = ", ".join(
        f"{name} {figure(value) if isinstance(value, float) else value}"
        for name, value in section["best"].items()
    )
    trials = counted(section["trials"], "trial")
    return f"{escaped(best)} [dim](score {figure(section['score'])}, the best of {trials})[/]"


def _training_rows(section: Section) -> str:
    parts = [f"{number(section.get('rows_trained', 0))} rows in own models"]
    not_used = [
        f"{number(section[name])} {words}" for name, words in _NOT_USED if section.get(name)
    ]
    if not_used:
        parts.append(f"not used: {', '.join(not_used)}")
    if small := section.get("rows_small"):
        parts.append(f"only in the fallback: {number(small)} of small entities")
    return "; ".join(parts)


def _training(section: Section) -> str:
    failed = section.get("entities_failed", 0)
    words = f"[bold red]{failed} failed[/]" if failed else "0 failed"
    return (
        f"{number(section.get('entities_trained', 0))} trained, {words}, "
        f"{number(section.get('entities_small', 0))} too small"
    )


def _verdicts(section: Section) -> Iterator[tuple[str, str]]:
    style, word = ("green", "blessed") if section["blessed"] else ("bold red", "not blessed")
    why = "" if section["blessed"] or not section["reason"] else f": {escaped(section['reason'])}"
    verdict = f"[{style}]{word}[/]{why}"
    if "entities_blessed" not in section:
        failed = number(section.get("rows_failed", 0))
        rows = f"{number(section.get('rows_evaluated', 0))} rows, {failed} failed"
        yield "evaluation", f"{rows}; {verdict}"
        return
    counts = [
        f"{number(section.get(f'entities_{verdict}', 0))} {words}"
        for verdict, words in VERDICTS.items()
    ]
    yield "verdicts", f"{', '.join(counts)}; as a whole {verdict}"


def _overall(section: Section) -> Iterator[tuple[str, str]]:
    models: Mapping[str, Any] = section["overall"]
    composed = models.get("composed") or models.get("candidate") or {}
    if not composed:
        return
    constant = "constant" if set(composed) & set(REGRESSION_METRICS) else "majority"
    names = {
        "pushed": "pushed",
        "blessed": "latest blessed",
        "fallback": "fallback",
        "majority": constant,
    }
    others = {name: words for name, words in names.items() if models.get(name)}
    for metric, value in composed.items():
        against = ", ".join(f"{w} {figure(models[name].get(metric))}" for name, w in others.items())
        ends = interval(section, metric)
        yield metric, f"{figure(value)}{ends} [dim]({against})[/]"


def _groups(summary: Summary) -> Iterator[tuple[str, str]]:
    if summary.fairness:
        yield "fairness", _fairness(summary.fairness)
    if slices := summary.evaluation["slices"]:
        names = ", ".join(" x ".join(columns) for columns in slices)
        where = f"tfma.load_eval_result({summary.paths['evaluation']!r})"
        yield "slices", escaped(f"{names}: {where}")


def _fairness(section: Section) -> str:
    where = f"[dim]{escaped(section['path'])}[/]"
    if "gap" not in section:
        return f"fewer than two groups are large enough to compare; {where}"
    highest, lowest = section["highest"], section["lowest"]
    return (
        f"largest gap {figure(section['gap'])}: {section['metric']} {figure(highest['value'])} of "
        f"{escaped(highest['group'])}, {figure(lowest['value'])} of {escaped(lowest['group'])} "
        f"({escaped(section['column'])}); {where}"
    )


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
    why = f": {escaped(section['reason'])}" if section.get("reason") else ""
    return f"[{style}]{word}[/]{why} ({', '.join(figures)})"


def _push(summary: Summary) -> str:
    section, cached = summary.push, "Pusher" in summary.cached
    version, directory = section["version"], escaped(section["directory"])
    if section.get("approval") == "waits":
        stays = f"version {version} stays" if version else "nothing is pushed"
        report = f"\n[dim]{escaped(section['report'])}[/]" if section.get("report") else ""
        return f"[yellow]waits for approval[/], {stays}\n{escaped(section['approve'])}{report}"
    if not section["pushed"]:
        stays = f"version {version} stays" if version else "nothing is pushed"
        said = f": {summary.captions.get('reason')}"  # by the evaluation, above
        return (
            f"[yellow]no new version[/], {stays}: {escaped(section['reason'].removesuffix(said))}"
        )
    if not section["current"]:
        why = escaped(section["problem"])
        return f"[bold red]version {version} is NOT there any more[/]: {why}"
    where = f"was pushed to {directory} earlier" if cached else f"to {directory}"
    challenges = section.get("label") not in (None, "", CHAMPION)
    if challenges:
        where = f"{where} as {section['label']}"
    if section.get("approval"):
        where = f"{where}, approved by {escaped(str(section['approval_by']))}"
    champion = f"; version {section['current']} is the champion"
    changed = f"; [yellow]version {section['current']} is current now[/]"
    now = champion if challenges else changed
    moved = now if section["current"] != version else ""
    serve = escaped(f"beamfleet serve {shlex.quote(section['directory'])}")
    return f"[green]version {version}[/] {where}{moved}\n[dim]{serve}[/]"


def _inference(section: Section, *, of_entities: bool) -> str:
    if section.get("skipped"):
        return f"[yellow]skipped[/]: {escaped(section['skipped'])}"
    version, by_fallback = section.get("model_version", 0), section.get("rows_fallback")
    with_version = f" with version {version}" if version else ""
    fallback = ""
    if of_entities and by_fallback is not None:
        fallback = f"{number(by_fallback)} by the fallback, "
    rejected = section.get("rows_rejected", 0)
    unread = f"; {number(rejected)} more rows could not be read" if rejected else ""
    return (
        f"{number(section.get('rows', 0))} of {number(section.get('rows_in', 0))} rows predicted"
        f"{with_version}, {fallback}"
        f"{number(section.get('rows_failed', 0))} failed{unread}"
    )
