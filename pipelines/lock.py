"""One run at a time on one root."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from components.errors import BeamfleetError


@contextmanager
def only_run_on(root: Path) -> Iterator[None]:
    """Holds the root for this process; the kernel lets go of it when the process dies.

    Raises:
      BeamfleetError: another run holds it, or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise BeamfleetError(f"{root} cannot be the root of a run: {error.strerror}") from None
    with file:
        if not _taken(file):
            file.seek(0)
            raise BeamfleetError(
                f"another run (process {file.read().strip() or 'unknown'}) works on {root}; wait "
                "until it is done, or give this one another --root"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _taken(file: TextIO) -> bool:
    """Tries for half a second: `is_held` in another process takes the lock for a moment."""
    for _ in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def is_held(root: Path) -> bool:
    """Whether a run works on the root at the moment."""
    lock = root / ".lock"
    if not lock.exists():
        return False
    with lock.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
