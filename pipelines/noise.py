"""Keeps the terminal for the user: what libraries print goes to the run's log."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def output_to(log: Path) -> Iterator[TextIO]:
    """Sends the file descriptors 1 and 2 to a log file; yields the stream that still is stdout.

    The descriptors and not `sys.stdout`, because TensorFlow's C++ and child processes write there.
    """
    _flush()
    before = os.dup(1), os.dup(2)
    with log.open("ab") as file, os.fdopen(os.dup(1), "w", encoding="utf-8") as terminal:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=_FORMAT, force=True)
        try:
            yield terminal
        finally:
            _flush()
            # What libraries still have to say when the run is over is of no use to the user.
            logging.getLogger().setLevel(logging.ERROR)
            for descriptor, saved in enumerate(before, start=1):
                os.dup2(saved, descriptor)
                os.close(saved)


@contextmanager
def unless_closed(stream: TextIO) -> Iterator[None]:
    """Prints as long as somebody reads: `beamfleet run ... | head` has what it wanted."""
    try:
        yield
    except BrokenPipeError:
        with Path(os.devnull).open("w") as nowhere:  # also for what waits to be printed
            os.dup2(nowhere.fileno(), stream.fileno())


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
