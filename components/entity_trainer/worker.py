"""The process that fits: takes shards from a pipe and answers entity by entity.

Answers to (fitting or None, shard, done): the planned fits, then each outcome in that order, then
None. An exception outside of the user's fit is answered as text. The parent knows from the number
of outcomes which entity a process died of.
"""

import os
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pyarrow as pa

from components.entity_trainer.fit import Fitting, Shard, fit_planned, plan
from components.user_function import load_function


def serve(connection: Connection) -> None:
    """Answers until the other end is closed."""
    _one_thread()
    fitter: _Fitter | None = None
    try:
        while True:
            fitting, shard, done = connection.recv()
            try:
                if fitting is not None:
                    fitter = _Fitter(fitting)
                assert fitter is not None
                for answer in fitter.answers(shard, done):
                    connection.send(answer)
                connection.send(None)
            except Exception:
                connection.send(traceback.format_exc())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


class _Fitter:
    def __init__(self, fitting: Fitting) -> None:
        self._fitting = fitting
        self._train_fn = load_function(fitting.train_fn)
        self._parent: object | None = None
        if fitting.parent is not None:
            from components.entity_models.codecs import decode

            self._parent = decode(*fitting.parent)
        _one_thread()  # again, for what the user's module has loaded

    def answers(self, shard: Shard, done: frozenset[str]) -> Iterator[object]:
        planned = plan(shard, self._fitting)
        yield planned.fits
        yield from fit_planned(planned, self._fitting, self._train_fn, self._parent, done)


def _one_thread() -> None:
    """One thread a process: the processes already take all cores, and sums keep their order."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    os.environ.update(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
    threadpool_limits(1)
    pa.set_cpu_count(1)
