"""Warm processes that fit models; one that dies takes only its entity with it."""

import contextlib
import os
import queue
import signal
import threading
from collections import Counter
from concurrent.futures import Future
from multiprocessing.connection import Connection

from components.entity_trainer.fit import Fit, Fitting, Shard, failed
from components.entity_trainer.fork_server import ForkServer
from components.errors import BeamfleetError

_PRELOAD = (
    "components.entity_models.graph",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.tree",
)
_DEATHS = 2
"""A process that dies once may have been killed from outside; twice at the same entity not."""
_STOP_SECONDS = 5.0

_servers: dict[str, ForkServer] = {}
_servers_lock = threading.Lock()


def warm_up(train_fn: str) -> ForkServer:
    """Starts the fork server, which imports scikit-learn and the user's module meanwhile.

    It serves all trainings of this program with that module, and ends with it.
    """
    module = train_fn.rpartition(".")[0]
    with _servers_lock:
        server = _servers.get(module)
        if server is None or not server.alive:
            server = ForkServer("components.entity_trainer.worker:serve", [*_PRELOAD, module])
            _servers[module] = server
        return server


def cool_down() -> None:
    """Ends all fork servers and their workers."""
    with _servers_lock:
        while _servers:
            _servers.popitem()[1].close()


class FitPool:
    """A fixed number of processes, started at once, which fit shard after shard.

    Example:
        pool = FitPool(workers=2, train_fn="user_code.census.train_fn")
        fits = pool.submit(fitting, shard).result()
        pool.close()
    """

    def __init__(self, workers: int, train_fn: str) -> None:
        warm_up(train_fn)
        self._jobs: queue.SimpleQueue[tuple[Fitting, Shard, Future[list[Fit]]] | None]
        self._jobs = queue.SimpleQueue()
        self._workers = [_Worker(train_fn) for _ in range(workers)]
        # Daemon threads: a long fit must not keep an interrupted program alive.
        self._threads = [
            threading.Thread(target=self._dispatch, args=(worker,), daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fitting: Fitting, shard: Shard) -> Future[list[Fit]]:
        """Fits the entities of a shard; in the order of their keys."""
        future: Future[list[Fit]] = Future()
        self._jobs.put((fitting, shard, future))
        return future

    def close(self) -> None:
        """Ends the processes, in the middle of their work if need be."""
        for _ in self._threads:
            self._jobs.put(None)
        for worker in self._workers:
            worker.stop()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def _dispatch(self, worker: "_Worker") -> None:
        with contextlib.suppress(OSError):  # tried again, and reported, with the first shard
            worker.start()
        while (job := self._jobs.get()) is not None:
            fitting, shard, future = job
            try:
                future.set_result(worker.fit(fitting, shard))
            except BaseException as error:
                future.set_exception(error)


class _Worker:
    """One process, replaced when it dies. Used by one thread; `stop` may come from another."""

    def __init__(self, train_fn: str) -> None:
        self._train_fn = train_fn
        self._lock = threading.Lock()
        self._stopped = False
        self._server: ForkServer | None = None
        self._pid = 0
        self._connection: Connection | None = None
        self._fitting: Fitting | None = None

    def start(self) -> None:
        server = warm_up(self._train_fn)
        pid, connection = server.fork()  # waits until the server has imported everything
        with self._lock:
            self._server, self._pid, self._connection = server, pid, connection
            self._fitting = None
        if self._stopped:
            self.stop()

    def stop(self) -> None:
        self._stopped = True
        with self._lock:
            self._reap()

    def fit(self, fitting: Fitting, shard: Shard) -> list[Fit]:
        """Fits a shard in however many processes that takes."""
        done: dict[str, Fit] = {}
        deaths: Counter[str | None] = Counter()
        while True:
            progress = _Progress(done)
            try:
                if not self._pid:
                    self.start()
                self._converse(fitting, shard, progress)
                return list(progress.fits.values())
            except (EOFError, OSError) as error:  # what a dead process leaves behind
                with self._lock:
                    cause = self._reap() or f"could not be started ({error})"
            if self._stopped:
                raise BeamfleetError("training was stopped")
            victim = progress.current
            deaths[victim] += 1
            if deaths[victim] == _DEATHS:
                if victim is None:
                    raise BeamfleetError(_without_victim(cause))
                done[victim] = failed(progress.fits[victim], f"its process {cause}")

    def _converse(self, fitting: Fitting, shard: Shard, progress: "_Progress") -> None:
        assert self._connection is not None
        news = None if fitting is self._fitting else fitting  # sent once, not with each shard
        self._connection.send((news, shard, frozenset(progress.done)))
        self._fitting = fitting
        while (answer := self._connection.recv()) is not None:
            if isinstance(answer, str):
                raise RuntimeError(f"training process failed:\n{answer}")
            progress.take(answer)

    def _reap(self) -> str:
        """Forgets the process, and says how it ended; "" if there was none."""
        pid, self._pid = self._pid, 0
        if not pid or self._server is None or self._connection is None:
            return ""
        self._connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # no effect on one that is ending already
        try:
            code = self._server.wait(pid)
        except OSError as error:
            return f"was lost: {error}"
        if code >= 0:
            return f"ended with exit code {code}"
        hint = " (often: out of memory)" if code == -signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{hint}"


def _without_victim(cause: str) -> str:
    if cause.startswith("could not"):
        return f"a training process {cause}; the log has its own words"
    return (
        f"a training process {cause} while it read its rows; give it more memory, or lower max_rows"
    )


class _Progress:
    """Which entities of a shard are done, and which one is being fitted."""

    def __init__(self, done: dict[str, Fit]) -> None:
        self.done = done
        self.fits: dict[str, Fit] = {}
        """One for each entity of the shard, in the order of keys, once the plan is known."""
        self._waiting: list[str] = []

    @property
    def current(self) -> str | None:
        return self._waiting[-1] if self._waiting else None

    def take(self, answer: list[Fit] | Fit) -> None:
        if isinstance(answer, list):
            self.fits = {fit.entity: self.done.get(fit.entity, fit) for fit in answer}
            promised = [f.entity for f in answer if f.status == "trained"]
            self._waiting = [name for name in reversed(promised) if name not in self.done]
            return
        self._waiting.pop()
        self.done[answer.entity] = self.fits[answer.entity] = answer
