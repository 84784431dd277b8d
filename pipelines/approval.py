"""A person's decision on what a run evaluated: pushed exactly as it was, or rejected.

The decision is kept in three places: in the properties of the run's PushedModel (approval,
approval_run, _by, _user, _time, _why), in the pushed version's version.json, and in the history of
the pushed directory. The version comes first: a process that is killed behind it is finished by the
same command.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.files import write_json
from components.pusher.directory import now, user
from components.pusher.push import Outcome, PushRequest, push_now, request_from, write_outcome
from components.pusher.stores import open_store
from components.pusher.versions import PushedVersions, Version
from pipelines import metadata
from pipelines.metadata import Artifact, Run

WAITS, APPROVED, REJECTED = "waits", "approved", "rejected"
_BLESSINGS = ("ModelBlessing", "InfraBlessing")
_PUSHER = "Pusher"


@dataclass(frozen=True)
class Decision:
    """Who decided, and why."""

    why: str
    by: str = ""
    """Name; "" is that of the operating system's user, which is kept in any case."""

    def details(self, run_id: str) -> dict[str, str]:
        """What is kept of it."""
        who = {"by": self.by or user(), "user": user()}
        return {"run": run_id, **who, "time": now(), "why": self.why}


@dataclass(frozen=True)
class Waiting:
    """What waits for a person."""

    run: Run
    pushed_model: Artifact
    request: PushRequest


def waiting(run: Run) -> Waiting:
    """What of a run waits for a person.

    Raises:
      BeamfleetError: nothing does; says why.
    """
    node = run.node(_PUSHER)
    output = node.output("pushed_model") if node else None
    if node is None or output is None or node.state not in ("done", "cached"):
        raise BeamfleetError(f"run {run.run_id} pushed nothing and has nothing that waits")
    if run.state == "running":
        raise BeamfleetError(f"run {run.run_id} is not done yet; approve it when it is")
    told = output.properties
    state = told.get("approval", "")
    if state in (APPROVED, REJECTED):
        raise BeamfleetError(
            f"what run {run.run_id} evaluated was {state} already by {told['approval_by']} at "
            f"{told['approval_time']}: {told['approval_why']}"
        )
    if state != WAITS:
        raise BeamfleetError(f"nothing of run {run.run_id} waits: {told.get('reason', '')}")
    refused = [a for n in run.nodes for a in n.outputs if a.type in _BLESSINGS and not _blessed(a)]
    if refused:
        raise BeamfleetError(f"run {run.run_id} is not blessed, see {refused[0].uri}")
    return Waiting(run, output, request_from(str(told["approval_request"])))


def check_unchanged(request: PushRequest) -> None:
    """Reads the store and compares it with what was evaluated.

    Raises:
      BeamfleetError: it is gone, damaged, or another one.
    """
    store = open_store(request.candidate.model_uri)
    if store.fingerprint != request.fingerprint:
        raise BeamfleetError(
            f"{store.uri} is not what was evaluated any more (its fingerprint is "
            f"{store.fingerprint[:12]}, was {request.fingerprint[:12]}); run the pipeline again"
        )
    store.check()


def approve(found: Waiting, decision: Decision) -> Outcome:
    """Pushes it, and keeps who approved it.

    Raises:
      BeamfleetError: the model was changed, another version was pushed since it was evaluated, or
        another challenger runs: nothing was pushed then, and it goes on waiting.
    """
    check_unchanged(found.request)
    details: Mapping[str, str] = decision.details(found.run.run_id)
    outcome = push_now(found.request, details)
    if not outcome.pushed:
        outcome, details = _finished(found, outcome)
    reason = f"{outcome.reason}, approved by {details['by']}: {details['why']}"
    outcome = replace(outcome, reason=reason)
    pushed: dict[str, str | int] = {
        "pushed": 1,
        "version": outcome.version,
        "pushed_version": str(outcome.version),
        "label": outcome.label,
    }
    _note(found, APPROVED, details, {**pushed, "reason": reason})
    write_outcome(found.pushed_model.uri, outcome)
    return outcome


def reject(found: Waiting, decision: Decision) -> None:
    """Keeps that it is never pushed.

    Raises:
      BeamfleetError: a killed approval had pushed it already.
    """
    for version in PushedVersions(found.request.destination).versions():
        if _is_ours(version, found):
            by = version.details["approval"]["by"]
            raise BeamfleetError(
                f"what run {found.run.run_id} evaluated was approved by {by} and is pushed "
                f"already, as version {version.number}; write that down by `beamfleet approve` "
                "without --reject, then undo it by `beamfleet rollback`"
            )
    details = decision.details(found.run.run_id)
    reason = f"rejected by {details['by']}: {details['why']}"
    _note(found, REJECTED, details, {"reason": reason})
    outcome = Outcome(
        found.request.destination,
        int(found.pushed_model.properties.get("version") or 0),
        pushed=False,
        reason=reason,
    )
    write_json(f"{found.pushed_model.uri}/pushed.json", asdict(outcome))


def _finished(found: Waiting, outcome: Outcome) -> tuple[Outcome, Mapping[str, str]]:
    """What a killed approval of this very run had pushed already.

    Raises:
      BeamfleetError: it was not this run's.
    """
    versions = PushedVersions(found.request.destination)
    version = versions.version(outcome.version) if outcome.version else None
    approval: dict[str, Any] = dict(version.details.get("approval", {})) if version else {}
    if version is None or not _is_ours(version, found):
        raise BeamfleetError(f"nothing was pushed: {outcome.reason}")
    label = outcome.label or "champion"
    return Outcome(outcome.destination, version.number, True, outcome.reason, label), approval


def _is_ours(version: Version, found: Waiting) -> bool:
    """Whether an approval of this very run pushed it."""
    same = version.details["store_fingerprint"] == found.request.fingerprint
    return bool(same and version.details.get("approval", {}).get("run") == found.run.run_id)


def _note(
    found: Waiting, state: str, details: Mapping[str, str], more: Mapping[str, str | int]
) -> None:
    kept = {f"approval_{name}": text for name, text in details.items()}
    noted = {"approval": state, **kept, **more}
    metadata.note_output(Path(found.run.root), found.run.run_id, found.pushed_model, noted)


def _blessed(artifact: Artifact) -> bool:
    return artifact.properties.get("blessed") == 1
