"""`beamfleet watch`: runs a pipeline whenever there are other rows to read."""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from components.errors import BeamfleetError
from pipelines import steps
from pipelines.commands.run import OPTIONS, wanted_pipeline
from pipelines.lock import is_held
from pipelines.watching import Look, Seen, Watcher

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DISTURBED = 128
"""A run that ended by a signal has an exit status above it."""


class _Runs:
    """Runs the pipeline as a process of its own, that reads its code anew."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, seen: Seen) -> int:
        _say(f"{seen}: running")
        self._process = subprocess.Popen(self._command)
        status = self._process.wait()
        if status < 0 or status > _DISTURBED:
            raise BeamfleetError(f"the run was stopped ({status}); start the watch again")
        return status

    def stop(self, number: int, frame: FrameType | None) -> NoReturn:
        """Ends with the run, which tidies up."""
        for again in _SIGNALS:
            signal.signal(again, signal.SIG_IGN)
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        sys.exit(_DISTURBED + number)


def main(arguments: argparse.Namespace) -> int:
    """Watches until it is stopped: 130 after Ctrl-C, 143 after a SIGTERM."""
    pipeline = wanted_pipeline(arguments)
    read = pipeline.step(steps.ReadExamples)
    if read is None:
        raise BeamfleetError(
            f"pipeline {pipeline.name!r} reads no rows from files, which is what can be watched: "
            ".from_csv(path), .from_parquet or .from_tfrecord"
        )
    runs = _Runs(_command(arguments))
    for number in _SIGNALS:
        signal.signal(number, runs.stop)
    root = pipeline.root
    watcher = Watcher(root, Look(read.config, _say), runs, lambda: is_held(root))
    _say(f"watching {', '.join(read.config.source.paths)} every {arguments.every:g} s")
    while True:
        if (status := watcher.step()) is not None:
            _say("waiting" if status == 0 else "it failed; waiting for other files")
        time.sleep(arguments.every)


def _command(arguments: argparse.Namespace) -> list[str]:
    """`beamfleet run` with the same options."""
    command = [sys.executable, "-m", "pipelines.cli", "run", arguments.pipeline]
    command += [f"--beam-arg={argument}" for argument in arguments.beam_arg]
    for name in (*OPTIONS, "root", "orchestrator"):
        value, option = getattr(arguments, name), f"--{name.replace('_', '-')}"
        if value is True:
            command.append(option)
        elif isinstance(value, list):
            command += [f"{option}={one}" for one in value]
        elif value is not None:
            command.append(f"{option}={value}")
    return command


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
