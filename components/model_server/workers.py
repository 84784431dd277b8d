"""Threads for predictions."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class Workers:
    """A pool of daemon threads.

    Not a ThreadPoolExecutor: the interpreter waits for the threads of one when it ends, so that a
    model that hangs would keep the server from stopping.
    """

    def __init__(self, threads: int) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = threads
        for number in range(threads):
            threading.Thread(target=self._work, name=f"predict-{number}", daemon=True).start()

    def submit(self, function: Callable[..., _T], *args: Any) -> "Future[_T]":
        """Runs `function(*args)` in turn; a future that is cancelled in time is never run."""
        future: Future[_T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args))
                except BaseException as error:  # given to whoever waits for the future
                    future.set_exception(error)

        self._tasks.put(run)
        return future

    def close(self) -> None:
        """Ends the threads once they have done what was submitted; one that hangs is left alone."""
        for _ in range(self._threads):
            self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            task()
