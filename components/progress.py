"""Long work says how far it is, to whoever listens to the logger."""

import logging
import threading
import time
from collections import defaultdict

LOGGER = "beamfleet.progress"
_EVERY_S = 2.0
_lock = threading.Lock()
_done: dict[str, int] = defaultdict(int)
_said: dict[str, float] = {}


def tell(work: str, total: int, noun: str, done: int = 1) -> None:
    """Counts what was done, and says every two seconds how much that is by now.

    Args:
      work: names the work; what all workers of a process do for it is counted together.
      total: how many there are.
      noun: of what.
      done: how many more.
    """
    now = time.monotonic()
    with _lock:
        _done[work] += done
        if now - _said.setdefault(work, now) < _EVERY_S:
            return
        _said[work] = now
        count = _done[work]
    logging.getLogger(LOGGER).info("%s of %s %s", f"{count:,}", f"{total:,}", noun)


def forget(work: str) -> None:
    """Starts counting anew."""
    with _lock:
        _done.pop(work, None)
        _said.pop(work, None)
