"""What CURRENT, or a lone model, asks the server to serve."""

from dataclasses import dataclass

from components.errors import BeamfleetError
from components.files import exists
from components.model_server.servable import is_ensemble
from components.pusher.directory import Version
from components.pusher.traffic import Split
from components.pusher.versions import PushedVersions
from components.saved_model.layout import find_saved_model


@dataclass(frozen=True)
class Wanted:
    """What is to be served."""

    uri: str
    version: str = ""
    """Number of the pushed version; "" for a lone model."""
    fingerprint: str = ""
    """Of the pushed version."""


@dataclass(frozen=True)
class Target:
    """What CURRENT asks for."""

    champion: Wanted
    challenger: Wanted | None = None
    split: Split | None = None
    """Of the challenger, as long as it takes part or may come to."""
    problem: str = ""
    """Why the challenger that CURRENT names is not wanted."""


def wanted(uri: str) -> Wanted:
    """The current version of a pushed directory, or the lone model at `uri`.

    Raises:
      BeamfleetError: there is nothing to serve.
    """
    return Wanted(uri) if is_lone(uri) else target_of(PushedVersions(uri)).champion


def target_of(pushed: PushedVersions) -> Target:
    """What CURRENT asks for; a challenger that is not there is its problem, not the champion's.

    Raises:
      BeamfleetError: nothing was pushed, or CURRENT or the champion is broken.
    """
    version, split = pushed.traffic()
    if version is None:
        raise BeamfleetError(
            f"nothing was pushed to {pushed.directory} yet; push a version, then serve it"
        )
    champion = _wanted(version)
    if split is None or split.state() not in ("running", "waiting"):
        return Target(champion)
    try:
        challenger = _wanted(pushed.version(split.challenger))
    except BeamfleetError as error:
        return Target(champion, problem=str(error))
    if split.plan.shadow and is_ensemble(challenger.uri):
        problem = f"{challenger.uri} is an ensemble, which cannot be a shadow; give it a share"
        return Target(champion, problem=problem)
    return Target(champion, challenger, split)


def _wanted(version: Version) -> Wanted:
    return Wanted(version.path, str(version.number), str(version.details["store_fingerprint"]))


def is_lone(uri: str) -> bool:
    """Whether a model lies there, not a pushed directory.

    Raises:
      BeamfleetError: neither does.
    """
    lone = is_ensemble(uri) or exists(f"{uri}/manifest.json") or bool(find_saved_model(uri))
    if not lone and not exists(f"{uri}/CURRENT"):
        raise BeamfleetError(
            f"{uri} is neither a pushed directory (it has no CURRENT) nor an entity-models store "
            "(no manifest.json) nor an ensemble (no ensemble.json) nor a SavedModel (no "
            "saved_model.pb); push a model there first, or correct the path"
        )
    return lone
