"""Writes the report of a run to a file that is whole or absent."""

from dataclasses import dataclass
from pathlib import Path

from components.files import write_whole
from pipelines.metadata import Run
from pipelines.report.page import make_page
from pipelines.report.paths import report_path
from pipelines.report.source import Source
from pipelines.summary import summarise


@dataclass(frozen=True)
class Report:
    """A file that was written."""

    path: Path
    size: int
    """Bytes."""
    problems: tuple[str, ...]
    """Sections that could not be drawn, and why."""


def write_report(run: Run, path: Path | None = None) -> Report:
    """Makes the report of a run.

    Args:
      run: As `metadata.read_run` gives it.
      path: File to write; default: `report_path`.

    Raises:
      OSError: the file cannot be written.
    """
    path = (path or report_path(run.root, run.run_id)).absolute()
    page = make_page(Source(run, summarise(run), path.parent))
    content = page.html.encode("utf-8", "replace")
    write_whole(str(path), content)
    return Report(path, len(content), page.problems)
