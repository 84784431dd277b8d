"""`beamfleet run`: from data to pushed models."""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TextIO

from components.errors import BeamfleetError
from pipelines import metadata, runner
from pipelines.lock import only_run_on
from pipelines.noise import output_to
from pipelines.pipeline import Pipeline
from pipelines.progress import progress_on
from pipelines.projects import load_pipeline


def main(arguments: argparse.Namespace) -> int:
    """Runs the pipeline and prints its summary; 130 after Ctrl-C, 143 after a SIGTERM."""
    root = Path(arguments.root) if arguments.root else None
    pipeline = load_pipeline(arguments.pipeline, root, arguments.data, arguments.eval_data)
    pipeline.with_beam_args(*arguments.beam_arg)
    pipeline.check()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore SIGINT
        signal.signal(number, _interrupt)
    try:
        with only_run_on(pipeline.root):
            return _run(pipeline, arguments)
    except KeyboardInterrupt as interrupt:
        code = 128 + int(interrupt.args[0])
        # Threads of Beam and gRPC would keep the interpreter alive.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(pipeline: Pipeline, arguments: argparse.Namespace) -> int:
    run_id = runner.new_run_id(pipeline.root)
    log = pipeline.root / "logs" / f"{run_id}.log"
    metadata.close_open_executions(pipeline.root, "CANCELED", "the process was killed")
    started = time.monotonic()
    try:
        with output_to(log) as terminal:
            _execute(pipeline, run_id, arguments, terminal)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not stop the tidying
        _stop_children()
        metadata.close_open_executions(pipeline.root, "CANCELED", "stopped by the user")
        print(
            f"\nbeamfleet: stopped; nothing half-done is visible, and the next run goes on from "
            f"what is complete\nlog: {log}",
            file=sys.stderr,
        )
        raise
    except BeamfleetError as error:
        raise BeamfleetError(f"{error}\nlog: {log}") from error
    return _report(pipeline, run_id, arguments, time.monotonic() - started)


def _execute(
    pipeline: Pipeline, run_id: str, arguments: argparse.Namespace, terminal: TextIO
) -> None:
    title = f"{pipeline.name} {run_id}"
    with progress_on(terminal, title, silent=arguments.json) as progress:
        progress.stage("Loading TFX and TensorFlow")
        try:
            runner.run(pipeline.build(), run_id, arguments.orchestrator, progress)
        except Exception as error:
            _note(pipeline.root, run_id, error)
            raise _for_the_user(error) from error


def _report(pipeline: Pipeline, run_id: str, arguments: argparse.Namespace, seconds: float) -> int:
    from pipelines.summary import summarise

    summary = summarise(metadata.read_run(pipeline.root, run_id), seconds)
    if arguments.json:
        print(json.dumps(summary.to_dict()))
    else:
        from pipelines.render import console
        from pipelines.summary_view import show_summary

        show_summary(summary, console())
    return 0


def _note(root: Path, run_id: str, error: Exception) -> None:
    """Leaves the reason in ML Metadata; a driver that failed leaves its execution open."""
    from pipelines.launching import NodeFailedError, reason_of

    metadata.close_open_executions(root, "FAILED", reason_of(error))
    if isinstance(error, NodeFailedError):
        metadata.note_error(root, run_id, error.node, error.reason)


def _for_the_user(error: Exception) -> BeamfleetError:
    import traceback

    from pipelines.launching import reason_of

    traceback.print_exception(error)  # into the log
    return error if isinstance(error, BeamfleetError) else BeamfleetError(reason_of(error))


def _stop_children() -> None:
    """Ends our own child processes: the trainer's pool and a server under validation."""
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        child.terminate()
    _, alive = psutil.wait_procs(children, timeout=3)
    for child in alive:
        child.kill()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)
