"""`beamfleet run`: from data to pushed models."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TextIO

from components.errors import BeamfleetError
from pipelines import alerts, metadata, runner, steps
from pipelines.lock import only_run_on
from pipelines.noise import output_to
from pipelines.pipeline import Pipeline
from pipelines.progress import noted, progress_on
from pipelines.projects import PIPELINES, load_pipeline
from pipelines.render import shown

OPTIONS = ("data", "eval_data", "images", "blip", "clip", "allow_private")
"""Of the command line, for the function `pipeline` that has a parameter of the name."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Interruption:
    """Remembers the signal: Beam turns a KeyboardInterrupt in a DoFn into an error of its own."""

    number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        raise KeyboardInterrupt(number)


def main(arguments: argparse.Namespace) -> int:
    """Runs the pipeline and prints its summary; 130 after Ctrl-C, 143 after a SIGTERM."""
    pipeline = wanted_pipeline(arguments)
    interruption = _Interruption()
    for number in _SIGNALS:  # SIGINT too: a shell's background jobs ignore it
        signal.signal(number, interruption)
    with only_run_on(pipeline.root):
        return _run(pipeline, arguments, interruption)


def wanted_pipeline(arguments: argparse.Namespace) -> Pipeline:
    """The pipeline that the command line asks for, checked.

    Raises:
      BeamfleetError: there is no such pipeline, or it cannot run.
    """
    root = Path(arguments.root) if arguments.root else None
    options = {name: getattr(arguments, name) for name in OPTIONS}
    pipeline = load_pipeline(_target(arguments.pipeline), root, **options)
    pipeline.with_beam_args(*arguments.beam_arg)
    pipeline.check()
    return pipeline


def _target(given: str) -> str:
    """A folder stands for the pipeline.py in it, unless it is named like one of ours."""
    file = Path(given, "pipeline.py")
    return str(file) if given not in PIPELINES and Path(given).is_dir() else given


def _run(pipeline: Pipeline, arguments: argparse.Namespace, interruption: _Interruption) -> int:
    run_id = runner.new_run_id(pipeline.root)
    log = pipeline.root / "logs" / f"{run_id}.log"
    metadata.close_runs(pipeline.root, "stopped", "the process was killed")
    try:
        with output_to(log) as terminal, metadata.timed(pipeline.root, run_id):
            _execute(pipeline, run_id, arguments, terminal, interruption)
    except KeyboardInterrupt:
        _tidy_up(pipeline.root, log)
        _call_on_exit(pipeline, run_id, "stopped")
        os._exit(128 + interruption.number)  # threads of Beam and gRPC would keep Python alive
    except BeamfleetError as error:
        report = ""
        with suppress(BeamfleetError):  # it may have failed before there was a run
            report = _write_report(metadata.read_run(pipeline.root, run_id))
        _alert(pipeline, run_id, {"run_failed": str(error)}, report)
        _call_on_exit(pipeline, run_id, "failed", str(error))
        where = f"\nreport: {report}" if report else ""
        raise BeamfleetError(f"{error}\nlog: {log}{where}") from error
    metadata.close_runs(pipeline.root, "done")
    status = _report(pipeline, run_id, arguments)
    return status if _call_on_exit(pipeline, run_id, "done") else 1


def _call_on_exit(pipeline: Pipeline, run_id: str, state: str, error: str = "") -> bool:
    """Calls the function of `on_exit`, if there is one; whether that went well."""
    asked = pipeline.step(steps.OnExit)
    if asked is None:
        return True
    from components.outcome import RunOutcome
    from components.user_function import described, load_function

    try:
        outcome = RunOutcome(pipeline.name, run_id, str(pipeline.root), state, error)
        load_function(asked.function)(outcome)
    except (Exception, SystemExit) as failure:  # its exit is not that of the command
        print(f"beamfleet: {asked.function} failed: {described(failure)}", file=sys.stderr)
        return False
    return True


def _write_report(run: metadata.Run) -> str:
    """The address of the page, "" where it could not be made: stderr says why, the run goes on."""
    try:
        from pipelines.report.make import write_report

        made = write_report(run)
    except Exception as error:
        print(
            f"beamfleet: no report was made: {shown(f'{type(error).__name__}: {error}')}",
            file=sys.stderr,
        )
        return ""
    for problem in made.problems:
        print(f"beamfleet: the report is not whole: {shown(problem)}", file=sys.stderr)
    return made.path.as_uri()


def _alert(pipeline: Pipeline, run_id: str, events: Mapping[str, str], report: str) -> None:
    """Tells whom the pipeline names; what goes wrong with that is said, and nothing more."""
    asked = pipeline.step(steps.Alert)
    events = {event: why for event, why in events.items() if asked and event in asked.on}
    if not asked or not events:
        return
    text = alerts.message(pipeline.name, run_id, str(pipeline.root), events, report)
    if failure := alerts.send(asked.webhook, text):
        print(f"beamfleet: no alert was sent: {failure}", file=sys.stderr)


def _tidy_up(root: Path, log: Path) -> None:
    """Leaves nothing half-done after a signal."""
    for again in _SIGNALS:
        signal.signal(again, signal.SIG_IGN)  # a second Ctrl-C must not stop the tidying
    _stop_children()
    metadata.close_runs(root, "stopped", "stopped by the user")
    print(
        f"\nbeamfleet: stopped; nothing half-done is visible, the next run goes on\nlog: {log}",
        file=sys.stderr,
        flush=True,
    )


def _execute(
    pipeline: Pipeline,
    run_id: str,
    arguments: argparse.Namespace,
    terminal: TextIO,
    interruption: _Interruption,
) -> None:
    title = f"{pipeline.name} {run_id}"
    with progress_on(terminal, title, silent=arguments.json) as progress, noted(progress):
        try:
            runner.run_or_reuse(pipeline, run_id, arguments.orchestrator, progress)
        except Exception as error:
            if interruption.number:
                raise KeyboardInterrupt from error
            with suppress(BeamfleetError):  # what stopped the run may stop its records too
                _note(pipeline.root, run_id, error)
            raise _for_the_user(error) from error


def _report(pipeline: Pipeline, run_id: str, arguments: argparse.Namespace) -> int:
    from pipelines.summary import summarise

    run = metadata.read_run(pipeline.root, run_id)
    report = _write_report(run)
    summary = summarise(run)
    _alert(pipeline, run_id, alerts.happened(summary), report)
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

    if isinstance(error, NodeFailedError):
        metadata.note_error(root, run_id, error.node, error.reason)
    metadata.close_runs(root, "failed", reason_of(error))


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
