"""With what a run runs: Python, packages, machine and the commit of the code."""

import os
import platform
import subprocess
from functools import cache
from importlib import metadata

PACKAGES = (
    "beamfleet", "tfx", "tensorflow", "apache-beam", "ml-metadata", "keras", "scikit-learn",
    "pyarrow", "numpy", "torch", "transformers", "xgboost-cpu", "lightgbm",
)  # fmt: skip
_PATIENCE_S = 3


@cache
def environment() -> dict[str, str]:
    """Names and versions as words; what is not installed is not in it."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": str(os.cpu_count() or "unknown"),
    }
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if commit := _git("rev-parse", "HEAD"):
        changed = _git("status", "--porcelain", "--untracked-files=no")
        found["git commit"] = commit + (" with uncommitted changes" if changed else "")
    return found


def _git(*arguments: str) -> str:
    """What git says of the folder that the run was started in; empty where it says nothing."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=_PATIENCE_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
