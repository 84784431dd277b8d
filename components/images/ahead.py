"""Maps a function over a stream in threads: in order, ahead of the consumer, within a budget."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

_AHEAD = 32
"""Items under way for each thread: one slow item does not stop the other threads."""


def map_ahead(
    function: Callable[[_T], _R],
    items: Iterable[_T],
    threads: int,
    size: Callable[[_R], int],
    max_size: int = 64 * 2**20,
) -> Iterator[_R]:
    """Yields `function(item)` in the order of the items, computed by some threads.

    Args:
      function: called in the threads; what it raises is raised where its result is due.
      items: drawn in the thread of the consumer, as few ahead as are needed.
      threads: how many, for one none is started.
      size: of a result, such as its bytes.
      max_size: no further item is begun while the results that wait are larger together; so many
        more as there are threads may then come.
    """
    if threads == 1:
        yield from map(function, items)
        return
    pending: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                while len(pending) >= threads * _AHEAD or _waiting(pending, size) > max_size:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _waiting(pending: Iterable[Future[_R]], size: Callable[[_R], int]) -> int:
    done = (future for future in pending if future.done() and not future.exception())
    return sum(size(future.result()) for future in done)
