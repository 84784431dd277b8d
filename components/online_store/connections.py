"""A connection for each thread, because those of SQLite and PostgreSQL are not for sharing."""

import os
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Ends it."""


C = TypeVar("C", bound=Closable)


class Connections(Generic[C]):
    """Made when a thread first asks; a forked process has its own."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._open: dict[tuple[int, int], C] = {}

    def mine(self) -> C:
        """The connection of this thread."""
        me = (os.getpid(), threading.get_ident())
        if me not in self._open:
            self._open[me] = self._connect()
        return self._open[me]

    def drop(self) -> None:
        """Closes the connection of this thread, so that the next one is new."""
        connection = self._open.pop((os.getpid(), threading.get_ident()), None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Closes all that this process made."""
        for process, thread in [*self._open]:
            if process == os.getpid():
                self._open.pop((process, thread)).close()
