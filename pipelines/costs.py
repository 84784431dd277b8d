"""What a piece of work costs this process and its children: CPU seconds and memory."""

import threading
import time
from types import TracebackType

import psutil

_EVERY_S = 0.2
_REST = 50
"""Times as long as it looks it rests: on a machine with thousands of processes looking is slow."""
_LONGEST_S = 1.0
_MB = 1_000_000


class Meter:
    """Measures what is done within it.

    CPU seconds are those of all threads, of children that are alive and of those that were waited
    for. Memory is looked at five times a second, at least once on a busy machine: the sum of
    resident memory of the process and its children, in which pages that they share count once for
    each of them. Other work in this process at the same time is in both.
    """

    def __init__(self) -> None:
        self.cpu_seconds = self.peak_mb = self.start_mb = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="costs", daemon=True)

    def __enter__(self) -> "Meter":
        self._before = self._look()
        self.start_mb = self.peak_mb
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.cpu_seconds = max(0.0, self._look() - self._before)

    def _watch(self) -> None:
        pause = _EVERY_S
        while not self._ended.wait(pause):
            started = time.monotonic()
            self._look()
            pause = min(max(_EVERY_S, _REST * (time.monotonic() - started)), _LONGEST_S)

    def _look(self) -> float:
        """CPU seconds up to now; remembers the memory if it is the most so far."""
        cpu_seconds, memory = 0.0, 0
        for process in _processes():
            try:
                with process.oneshot():
                    cpu_seconds += sum(process.cpu_times()[:4])  # with those that it waited for
                    memory += process.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
        self.peak_mb = max(self.peak_mb, memory / _MB)
        return cpu_seconds


def _processes() -> list[psutil.Process]:
    """The own one and its children; alone where the system tells nothing of others."""
    own = psutil.Process()
    try:
        return [own, *own.children(recursive=True)]
    except (psutil.Error, OSError):
        return [own]
