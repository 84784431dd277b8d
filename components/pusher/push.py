"""Pushes a store if all its blessings allow it, and says what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from components.files import write_json
from components.pusher.linking import link_version
from components.pusher.splits import SplitRunningError
from components.pusher.stores import open_store
from components.pusher.traffic import CHAMPION, TrafficPlan, traffic_plan
from components.pusher.versions import PushedVersions


@dataclass(frozen=True)
class Candidate:
    """What would be pushed."""

    model_uri: str
    """The store."""
    candidate_uri: str
    """The trainer's model that it was composed from; itself, if it was not."""
    baseline_version: int
    """The version that it was composed over; 0 is none."""
    rivals: tuple[str, ...] = ()
    """The other trainers' models that it was chosen from."""


@dataclass(frozen=True)
class Blessing:
    """The verdict of one validation."""

    name: str
    """What was validated: `model` or `infrastructure`."""
    blessed: bool
    reason: str
    """In words, for whoever asks why nothing was pushed."""


@dataclass(frozen=True)
class Outcome:
    """What a push did; pushed.json holds these fields."""

    destination: str
    """The pushed directory."""
    version: int
    """The version that was pushed, or else the one that is current; 0 is none."""
    pushed: bool
    reason: str
    """Why nothing was pushed, or what was."""
    label: str = ""
    """Of what was pushed: champion or that of a challenger; "" if nothing was."""
    waits: bool = False
    """A person has to approve it."""


@dataclass(frozen=True)
class PushRequest:
    """Everything that decides what is pushed where. It can wait for an approval as JSON."""

    candidate: Candidate
    destination: str
    keep: int
    """Versions that stay, see `PushedVersions.push`."""
    traffic: TrafficPlan | None = None
    fingerprint: str = ""
    """Of the store that was evaluated; "" for what is pushed at once."""

    def to_json(self) -> str:
        """Text that `request_from` reads."""
        traffic = self.traffic.to_dict() if self.traffic else None
        return json.dumps({**asdict(self), "traffic": traffic}, sort_keys=True)


def request_from(text: str) -> PushRequest:
    """Reads what `PushRequest.to_json` wrote."""
    content = json.loads(text)
    made, traffic = content.pop("candidate"), content.pop("traffic")
    candidate = Candidate(**{**made, "rivals": tuple(made.get("rivals", ()))})
    plan = traffic_plan(**traffic) if traffic else None
    return PushRequest(candidate=candidate, traffic=plan, **content)


def objection(request: PushRequest, blessings: Sequence[Blessing]) -> Outcome | None:
    """Why nothing is pushed, by the blessings; None: all are given."""
    refused = [b for b in blessings if not b.blessed]
    if not refused:
        return None
    reason = "; ".join(f"the {b.name} is not blessed: {b.reason}" for b in refused)
    return _unpushed(request, reason)


def push_now(request: PushRequest, approval: Mapping[str, str] | None = None) -> Outcome:
    """Pushes it, unless it is there already or another challenger runs.

    Args:
      request: What and where.
      approval: Who approved it, for version.json.

    Raises:
      BeamfleetError: see `PushedVersions.push`.
    """
    candidate, versions = request.candidate, PushedVersions(request.destination)
    try:
        version = versions.push(
            candidate.model_uri,
            candidate.candidate_uri,
            candidate.baseline_version,
            request.keep,
            request.traffic,
            approval,
            candidate.rivals,
        )
    except SplitRunningError as error:
        return _unpushed(request, str(error))
    link_version(version, [candidate.candidate_uri])
    if not version.new:
        is_what = "current" if version.label == CHAMPION else f"the {version.label}"
        reason = f"identical to version {version.number}, which is {is_what}"
        return Outcome(request.destination, version.number, False, reason)
    as_what = "" if version.label == CHAMPION else f", the {version.label}"
    reason = f"pushed as version {version.number}{as_what}"
    return Outcome(request.destination, version.number, True, reason, version.label)


def wait_for_approval(request: PushRequest, command: str) -> tuple[Outcome, PushRequest]:
    """Checks what would be pushed, and has it wait, unless it is what is served already.

    Args:
      request: What and where.
      command: That goes on.

    Returns:
      The outcome, and the request with the fingerprint of what was evaluated.

    Raises:
      BeamfleetError: the store is not whole.
    """
    store = open_store(request.candidate.model_uri)
    store.check()
    fixed = replace(request, fingerprint=store.fingerprint)
    current = PushedVersions(request.destination).current()
    if current and current.details["store_fingerprint"] == store.fingerprint:
        reason = f"identical to version {current.number}, which is current"
        return _unpushed(request, reason), fixed
    outcome = _unpushed(request, f"waits for approval: {command}")
    return replace(outcome, waits=True), fixed


def write_outcome(uri: str, outcome: Outcome) -> None:
    """Writes pushed.json into the artifact's folder, on any Beam filesystem."""
    write_json(f"{uri}/pushed.json", asdict(outcome))


def _unpushed(request: PushRequest, reason: str) -> Outcome:
    current = PushedVersions(request.destination).current()
    return Outcome(request.destination, current.number if current else 0, False, reason)
