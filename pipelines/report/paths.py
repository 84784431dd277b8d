"""Where the reports of a root lie."""

from pathlib import Path


def report_path(root: str | Path, run_id: str) -> Path:
    """The file that is made at the end of a run."""
    return Path(root).absolute() / "reports" / f"{run_id}.html"
