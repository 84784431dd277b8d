"""The project's server in a fresh process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

_IMPORT_S = 300.0
_LOAD_S = 60.0
_STOP_S = 5.0
_LOG_LINES = 20


class ServerError(Exception):
    """The server ended, or was never ready; the message says how, for the report."""


class ServerProcess:
    """A running server that listens on a free port of the loopback."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self._process = process
        self._status_file = folder / "status.json"
        self._log_file = folder / "server.log"

    @property
    def port(self) -> int:
        return int(self.status()["port"])

    def status(self) -> dict[str, Any]:
        """What the server says about its start; see `components.model_server.startup`."""
        try:
            status: dict[str, Any] = json.loads(self._status_file.read_text())
        except FileNotFoundError:
            return {"state": "importing"}
        return status

    def wait_until_ready(self, load_s: float = 0.0) -> dict[str, Any]:
        """Waits for the server and gives its status with import_s, load_s and ready_s.

        Args:
          load_s: Seconds from loading to readiness that it may need; it gets 60 or more.

        Raises:
          ServerError: it ended, said why it cannot start, or took far longer than that.
        """
        limits = {"importing": _IMPORT_S, "loading": _IMPORT_S + _LOAD_S + load_s}
        started = time.monotonic()
        while (status := self.status())["state"] in limits:
            self.check_alive()
            limit = limits[status["state"]]
            if time.monotonic() - started > limit:
                raise ServerError(f"the server was still {status['state']} after {limit:g} s")
            time.sleep(0.02)
        if status["state"] != "ready":
            raise ServerError(f"the server could not start: {status['reason']}")
        return status

    def check_alive(self, when: str = "", grace_s: float = 0.0) -> None:
        """Raises ServerError if the process ended or ends within `grace_s`.

        `when` ends the sentence. A process that dies closes its connections a little earlier.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        code = self._process.poll()
        if code is not None and self.status()["state"] != "failed":
            killed = f"was killed by {signal.Signals(-code).name}" if code < 0 else ""
            raise ServerError(f"the server {killed or f'exited with status {code}'}{when}")

    def wait(self, timeout_s: float = 10.0) -> int:
        """Waits for the end of the process and gives its exit status."""
        return self._process.wait(timeout_s)

    def resident_mb(self) -> float:
        """Resident memory of the process now, in units of 1,000,000 bytes."""
        return float(psutil.Process(self._process.pid).memory_info().rss / 1e6)

    def log_tail(self) -> list[str]:
        """The last lines of the log."""
        return self._log_file.read_text(errors="replace").splitlines()[-_LOG_LINES:]


@contextlib.contextmanager
def running_server(
    model_uri: str, folder: Path, options: Sequence[str] = ()
) -> Iterator[ServerProcess]:
    """Starts the server on a store and ends it with the block, whatever happens there.

    The server also ends by itself when its standard input does, so that a killed validator leaves
    none behind.

    Args:
      model_uri: entity-models store, or ensemble.
      folder: gets status.json and server.log.
      options: more of the server's command line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "components.model_server", model_uri, "--port=0"]
    command += [f"--status-file={folder / 'status.json'}", "--stop-with-stdin", *options]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
            start_new_session=True,
        )
    try:
        yield ServerProcess(process, folder)
    finally:
        _stop(process)


def _import_path() -> list[str]:
    """Where this process finds its packages: the user's model classes may lie anywhere on it."""
    return [path or str(Path.cwd()) for path in sys.path]


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ends the process and whatever it started; asks first."""
    try:
        process.terminate()
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()
