"""`beamfleet approve`: a person lets what a run evaluated be pushed, or rejects it."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import BeamfleetError
from components.pusher.files import exclusive
from components.pusher.versions import PushedVersions
from pipelines import metadata
from pipelines.render import console, escaped, shown

if TYPE_CHECKING:
    from pipelines.approval import Waiting

_LOCK_WAIT_S = 60.0


def main(arguments: argparse.Namespace) -> int:
    """Says what is decided on, decides, and says what came of it."""
    if not arguments.why.strip():
        raise BeamfleetError("say --why: the reason is kept with your name and the time")
    root = _root_of(arguments.run, Path(arguments.root))
    with exclusive(root / ".approval.lock", _LOCK_WAIT_S):  # two people may decide at once
        return _decide(metadata.read_run(root, arguments.run), arguments)


def _decide(run: metadata.Run, arguments: argparse.Namespace) -> int:
    # Imported once the arguments are known to be good: Arrow and the models' formats.
    from pipelines.approval import Decision, approve, reject, waiting

    found, decision = waiting(run), Decision(arguments.why.strip(), arguments.by.strip())
    if not arguments.json:
        _show(found)
    content: dict[str, Any]
    if arguments.reject:
        reject(found, decision)
        said, content = "rejected: it will not be pushed", {"approval": "rejected"}
    else:
        outcome = approve(found, decision)
        said, content = outcome.reason, {"approval": "approved", **asdict(outcome)}
    print(json.dumps({"run": run.run_id, **content}) if arguments.json else shown(said))
    return 0


def _root_of(name: str, base: Path) -> Path:
    """The root of that run; `latest` is none, so that nobody approves what came in between."""
    if name == "latest":
        raise BeamfleetError(
            "name the run, not `latest`: another one may have come in between; `beamfleet runs` "
            "lists them"
        )
    roots = metadata.find_roots(base)
    found = [r for r in roots if any(run.run_id == name for run in metadata.read_runs(r))]
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise BeamfleetError(f"run {name} is in {names}: name one of them by --root")
    if not found:
        raise BeamfleetError(f"no run {name!r} below {base}; `beamfleet runs` lists them")
    return found[0]


def _show(found: "Waiting") -> None:
    """What a person should know before it is pushed: what it is, and where it goes."""
    from pipelines.summary import summarise
    from pipelines.summary_view import show_summary

    terminal, request = console(), found.request
    show_summary(summarise(found.run), terminal)
    how, current = "", PushedVersions(request.destination).current()
    if request.traffic and current:
        shares = dict(request.traffic.shares)
        how = f", as {request.traffic.challenger} beside version {current.number}: {shares}"
    terminal.print(escaped(f"model  {request.candidate.model_uri}"))
    terminal.print(escaped(f"to     {request.destination}{how}"))
