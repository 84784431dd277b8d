"""Captions of a run on the terminal."""

from typing import TYPE_CHECKING

from pipelines.summary import Summary

if TYPE_CHECKING:
    from rich.console import Console


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
