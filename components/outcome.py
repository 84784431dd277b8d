"""How a run ended, for a function that a user has called then."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunOutcome:
    """The end of a run."""

    pipeline: str
    run: str
    """Its name, as `beamfleet show` takes it."""
    root: str
    """Folder of metadata, artifacts and logs."""
    state: str
    """done, failed or stopped (by the user)."""
    error: str = ""
    """Why it failed."""
