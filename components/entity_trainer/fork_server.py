"""A process that imports the heavy libraries once and forks workers from there.

Unlike `multiprocessing`'s fork server it never runs the program's main module again (a pipeline
file without a guard would start over, and one with TFX cost each worker 15 CPU seconds), sees the
program's `sys.path`, and kills its workers when the program dies, however that happens.
"""

import contextlib
import importlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from components.imports import heavy_imports

_REQUEST = struct.Struct("<cq")
_REPLY = struct.Struct("<q")
_FORK, _WAIT = b"f", b"w"
_HERE = str(Path(__file__).resolve().parents[2])


class ForkServer:
    """The end of the program; threads may share it.

    Example:
        server = ForkServer("package.module:serve", preload=["sklearn.tree"])
        pid, connection = server.fork()      # the fork runs serve(its end of the connection)
    """

    def __init__(self, serve: str, preload: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        # Our own folder first while we import: a user's project may have a package `components`.
        code = (
            f"import sys; sys.path[:] = {[_HERE, *sys.path]!r}; from {__name__} import run; "
            f"sys.path.remove({_HERE!r}); run({theirs.fileno()}, {serve!r}, {list(preload)!r})"
        )
        # Its own session: Ctrl-C reaches the program only, which then ends all this.
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(self) -> tuple[int, Connection]:
        """Forks a worker: its process id and the connection to it.

        Raises:
          OSError: the server has died.
        """
        ours, theirs = Pipe()
        with self._lock:
            socket.send_fds(self._control, [_REQUEST.pack(_FORK, 0)], [theirs.fileno()])
            theirs.close()  # else its death would not end our reading
            return self._reply(), ours

    def wait(self, pid: int) -> int:
        """Waits for the end of a worker: its exit code, or minus the signal that killed it."""
        with self._lock:
            self._control.sendall(_REQUEST.pack(_WAIT, pid))
            return os.waitstatus_to_exitcode(self._reply())

    def close(self) -> None:
        """Ends the server, and it ends its workers."""
        self._control.close()
        self._process.wait()

    def _reply(self) -> int:
        reply = self._control.recv(_REPLY.size)
        if len(reply) < _REPLY.size:
            raise ConnectionResetError("the fork server of the training processes has died")
        return int(_REPLY.unpack(reply)[0])


def run(control_fd: int, serve: str, preload: Sequence[str]) -> None:
    """The server's main loop, until the program closes its end."""
    module, _, name = serve.partition(":")
    with heavy_imports():  # frozen, what is imported stays shared by the workers
        for wanted in (module, *preload):
            # A module that fails here fails in the worker too, where its message can be reported.
            with contextlib.suppress(Exception):
                importlib.import_module(wanted)
    workers: set[int] = set()
    with socket.socket(fileno=control_fd) as control:
        while True:
            request, fds, _, _ = socket.recv_fds(control, _REQUEST.size, 1)
            if len(request) < _REQUEST.size:
                break
            kind, pid = _REQUEST.unpack(request)
            if kind == _FORK:
                pid = os.fork()
                if pid == 0:
                    control.close()
                    _work(getattr(sys.modules[module], name), fds[0])
                os.close(fds[0])
                workers.add(pid)
                control.sendall(_REPLY.pack(pid))
            else:
                workers.discard(pid)
                control.sendall(_REPLY.pack(os.waitpid(pid, 0)[1]))
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


def _work(serve: Callable[[Connection], None], fd: int) -> None:
    try:
        serve(Connection(fd))
    finally:
        sys.stdout.flush()
        os._exit(0)
