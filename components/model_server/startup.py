"""Says how far the start of the server is, and how long each part took.

The status file is JSON and is replaced as a whole; each content is also a log line that begins with
`beamfleet-server`:

    {"state": "loading", "pid": 7, "host": "127.0.0.1", "port": 40123, "import_s": 3.9}
    {"state": "ready", ... "load_s": 0.1, "ready_s": 0.02, "version": "3"}
    {"state": "failed", ... "reason": "..."}

`import_s` counts from the start of the process until all code is imported, `load_s` the opening of
the store and of its fallback, `ready_s` from there until the port answers.
"""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

LOG = logging.getLogger("beamfleet.server")
PREFIX = "beamfleet-server"


class Startup:
    """Clock of the start."""

    def __init__(self, status_file: str) -> None:
        self._path = Path(status_file) if status_file else None
        self._status: dict[str, Any] = {"state": "importing", "pid": os.getpid()}
        self._last = _process_start()

    def bound(self, host: str, port: int) -> None:
        """The address is ours."""
        self._status |= {"host": host, "port": port}

    def lap(self, part: str) -> None:
        """Counts the seconds since the last call to `import_s`, `load_s` or `ready_s`."""
        now = time.time()
        self._status[part] = round(self._status.get(part, 0.0) + now - self._last, 4)
        self._last = now

    def say(self, state: str, **more: str) -> None:
        """Publishes a state."""
        self._status |= {"state": state, **more}
        text = json.dumps(self._status)
        LOG.info("%s %s", PREFIX, text)
        if self._path:
            staged = self._path.with_name(f".{self._path.name}.new")
            staged.write_text(text)
            staged.replace(self._path)


def _process_start() -> float:
    import psutil

    return float(psutil.Process().create_time())
