"""Calls the command as a user does, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
_COMMAND = [sys.executable, "-m", "pipelines.cli"]


def beamfleet(*arguments: object, code: int = 0) -> str:
    """Runs the command to its end; gives its standard output."""
    done = subprocess.run(
        [*_COMMAND, *map(str, arguments)], capture_output=True, text=True, env=_ENVIRONMENT
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def run(*arguments: object) -> dict[str, Any]:
    """`beamfleet run --json`: the summary."""
    summary: dict[str, Any] = json.loads(beamfleet("run", *arguments, "--json"))
    return summary


@contextmanager
def running(*arguments: object, until: str) -> Iterator[subprocess.Popen[str]]:
    """A run that has just printed a line with `until`; in a session of its own."""
    process = subprocess.Popen(
        [*_COMMAND, "run", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_ENVIRONMENT,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if until in line:
                break
        else:
            raise AssertionError("".join(lines))
        yield process
    finally:
        if process.poll() is None:
            process.kill()


def left_of_session(leader: int, wait_s: float) -> list[psutil.Process]:
    """Processes of a session that are still alive after at most `wait_s` seconds."""
    members = [p for p in psutil.process_iter() if _session(p) == leader and p.pid != leader]
    _, alive = psutil.wait_procs(members, timeout=wait_s)
    return alive


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return -1
