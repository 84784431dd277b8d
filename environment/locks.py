"""The locks of `.venv`: hashed lists of packages, each holding all that the one before it holds."""

import hashlib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Lock(NamedTuple):
    """What a lock asks of the machine."""

    disk_gb: float
    """The environment, and beside it the wheels while they are installed."""
    download_gb: float
    """All its wheels."""


LOCKS = {"base": Lock(5, 1), "captions": Lock(12, 4), "dev": Lock(13, 4)}
"""Name of `<name>.lock` -> its needs."""


def lock_file(name: str) -> Path:
    """The list itself."""
    return ROOT / "environment" / f"{name}.lock"


def lock_key(name: str) -> str:
    """Names the lock in its present state, and that of setup.py, whose package is installed too."""
    digest = hashlib.sha256(lock_file(name).read_bytes())
    digest.update((ROOT / "setup.py").read_bytes())
    return f"{name} {digest.hexdigest()}"
