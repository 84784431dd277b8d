"""Captions of a run on the terminal, and how good they are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.caption_evaluator.config import LARGEST
from components.words import counted
from pipelines.render import escaped, figure
from pipelines.summary import Section, Summary

if TYPE_CHECKING:
    from rich.console import Console

METRIC_NAMES = {
    "exact_match": "exact match",
    "own_order_exact_match": "exact match, captioner's order",
    "oracle_exact_match": "exact match, any caption",
    "bleu": "BLEU",
    "clip_score": "CLIP score",
    "coverage": "coverage",
}
_SLICES = 10
"""So many of them are shown, the worst ones."""


def show_captions(summary: Summary, console: "Console", *, everything: bool) -> None:
    """Prints each image with its best captions, and each that failed; ten unless `everything`."""
    from components.caption_report.read import CaptionResult
    from components.caption_report.text import result_lines

    if not (uri := summary.paths.get("predictions")):
        return
    where = f"{summary.paths.get('contact sheet', uri)}, or `{summary.show_command}`"
    limit = None if everything else 10
    result = CaptionResult(uri, str(summary.examples.get("rejects", "")))
    for line in result_lines(result, limit, where=where):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def caption_lines(summary: Summary) -> Iterator[tuple[str, str]]:
    """Name and text of what the evaluation says; none if the run has no such node."""
    if not (section := summary.captions):
        return
    yield "evaluation", _verdict(section)
    if section["notes"]:
        yield "notes", f"[yellow]{escaped(section['notes'])}[/]"
    yield from _metrics(section)
    if ranking := section["ranking"]:
        yield (
            "ranking",
            (
                f"{ranking['value']:+.3f} exact match by ranking than by the captioner's order "
                f"(interval {ranking['low']:+.3f} to {ranking['high']:+.3f}, "
                f"{ranking['test']} p {figure(ranking['p_value'])})"
            ),
        )
    yield from _slices(section["slices"], summary.paths.get("caption evaluation", ""))


def _verdict(section: Section) -> str:
    style, word = ("green", "blessed") if section["blessed"] else ("bold red", "not blessed")
    reason, compared = escaped(section["reason"]), section.get("rows_evaluated", 0)
    if not compared and not section["blessed"]:
        return f"[bold red]none[/]: {reason}"
    why = f": {reason}" if reason else ""
    return (
        f"{counted(compared, 'image')} compared with a reference, "
        f"{section.get('rows_without_reference', 0):,} without one, "
        f"{section.get('rows_failed', 0):,} failed; [{style}]{word}[/]{why}"
    )


def _metrics(section: Section) -> Iterator[tuple[str, str]]:
    models: Mapping[str, Any] = section["overall"]
    values, pushed = models.get("candidate", {}), models.get("pushed") or {}
    for metric, name in METRIC_NAMES.items():
        if (value := values.get(metric)) is None:
            continue
        threshold = section["thresholds"].get(metric, {})
        aside = list(_aside(section["intervals"].get(metric), threshold, pushed.get(metric)))
        scale = f" of {LARGEST[metric]:g}" if LARGEST[metric] != 1 else ""
        yield name, f"{figure(value)}{scale}" + (f" [dim]({'; '.join(aside)})[/]" if aside else "")


def _aside(
    interval: Sequence[float] | None, threshold: Mapping[str, float], pushed: float | None
) -> Iterator[str]:
    if interval:
        yield _to(*interval)
    if "min" in threshold:
        yield f"needs {threshold['min']:g}"
    if pushed is not None:
        most = f", may lose {threshold['max_drop']:g}" if "max_drop" in threshold else ""
        yield f"pushed {figure(pushed)}{most}"


def _slices(slices: Sequence[Section], where: str) -> Iterator[tuple[str, str]]:
    shown = slices[:_SLICES]
    for place, row in enumerate(shown):
        between = _to(row["exact_match_low"], row["exact_match_high"])
        yield (
            "" if place else "worst slices",
            (
                f"{escaped(row['slice'])}: exact match {figure(row['exact_match'])} "
                f"[dim]({between}; {counted(row['rows_evaluated'], 'image')})[/]"
            ),
        )
    if more := len(slices) - len(shown):
        yield "", f"[dim]{counted(more, 'more slice')}: {where}/slices.parquet[/]"


def _to(low: float, high: float) -> str:
    return f"{low:.3g} to {high:.3g}"
