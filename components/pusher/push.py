"""Pushes a store if all its blessings allow it, and says what came of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from components.files import write_json
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
    """The version that is current afterwards; 0 is none."""
    pushed: bool
    reason: str
    """Why nothing was pushed, or what was."""


def push_blessed(
    candidate: Candidate, destination: str, keep: int, blessings: Sequence[Blessing]
) -> Outcome:
    """Pushes the candidate to `destination`, unless a blessing is refused.

    Raises:
      BeamfleetError: see `PushedVersions.push`.
    """
    versions = PushedVersions(destination)
    refused = [b for b in blessings if not b.blessed]
    if refused:
        current = versions.current()
        reason = "; ".join(f"the {b.name} is not blessed: {b.reason}" for b in refused)
        return Outcome(destination, current.number if current else 0, False, reason)
    version = versions.push(
        candidate.model_uri, candidate.candidate_uri, candidate.baseline_version, keep
    )
    if not version.new:
        reason = f"identical to version {version.number}, which is current"
        return Outcome(destination, version.number, False, reason)
    return Outcome(destination, version.number, True, f"pushed as version {version.number}")


def write_outcome(uri: str, outcome: Outcome) -> None:
    """Writes pushed.json into the artifact's folder, on any Beam filesystem."""
    write_json(f"{uri}/pushed.json", asdict(outcome))
