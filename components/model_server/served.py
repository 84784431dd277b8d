"""The models that are served now, and the pointer that may move them."""

import logging
import time
from dataclasses import dataclass

from components.entity_models.store import UnreadableModelError
from components.errors import BeamfleetError
from components.files import exists
from components.model_server.servable import Servable, is_ensemble, opener
from components.pusher.versions import PushedVersions
from components.saved_model.layout import find_saved_model

LOG = logging.getLogger("beamfleet.server")
_RETRY_S = 30.0


@dataclass(frozen=True)
class Served:
    """One opened version. A request takes it once, so that a swap falls between requests."""

    version: str
    """Number of the pushed version, or the first 12 digits of a lone model's fingerprint."""
    servable: Servable


@dataclass(frozen=True)
class Wanted:
    """What is to be served."""

    uri: str
    version: str = ""
    """Number of the pushed version; "" for a lone model."""
    fingerprint: str = ""
    """Of the pushed version."""


def wanted(uri: str) -> Wanted:
    """The current version of a pushed directory, or the lone model at `uri`.

    Raises:
      BeamfleetError: there is nothing to serve.
    """
    return Wanted(uri) if _is_lone(uri) else _current(PushedVersions(uri))


def _current(pushed: PushedVersions) -> Wanted:
    version = pushed.current()
    if version is None:
        raise BeamfleetError(
            f"nothing was pushed to {pushed.directory} yet; push a version, then serve it"
        )
    fingerprint = str(version.details["store_fingerprint"])
    return Wanted(version.path, str(version.number), fingerprint)


class ServedModels:
    """Opens a pushed directory or one model, and follows the directory's pointer.

    The new version is loaded beside the old one and replaces it when it is whole; the old one is
    freed with its last request. A version that cannot be loaded leaves the old one in place.

    Raises:
      BeamfleetError: there is nothing to serve, or it is broken.
    """

    def __init__(self, uri: str, cache_bytes: int) -> None:
        self._uri, self._cache_bytes = uri, cache_bytes
        self._pushed = None if _is_lone(uri) else PushedVersions(uri)
        self._failed: Wanted | None = None
        self._retry_at = 0.0
        self.failure = ""
        """Why the version that CURRENT names is not served; "" if it is."""
        self.damage = ""
        """What of the served version cannot be read any more; "" if all can."""
        self._damaged_entity = ""
        self._seen: Wanted | None
        found = self._wanted()
        self.served, self._seen = self._open(found), found

    def report_damage(self, served: Served, error: UnreadableModelError) -> str:
        """Notes that a model cannot be read, so that `refresh` looks for a whole version.

        Returns:
          One sentence for the client; the log has the reason, which names paths.
        """
        what = f"the model of entity {error.entity!r}" if error.entity else "the fallback model"
        said = (
            f"{what} in version {served.version} was removed or damaged; restore it, or push again"
        )
        LOG.error("%s: %s", said, error)
        if served is self.served and not self.damage:
            self._damaged_entity, self._seen, self._retry_at = error.entity, None, 0.0
            self.damage = said
        return said

    def refresh(self) -> bool:
        """Looks at the pointer and swaps if it moved; says in the log what it does.

        A version that was damaged is opened anew, until it can be read or the pointer moves.

        Returns:
          Whether another version is served now.
        """
        if self._pushed is None and not self.damage:
            return False
        try:
            seen = self._wanted()
            if seen == self._seen:
                self._recovered()
                return False
            if seen == self._failed and time.monotonic() < self._retry_at:
                return False
            self._failed, self._retry_at = seen, time.monotonic() + _RETRY_S
            fresh = self._open(seen)
            fresh.servable.check(self._damaged_entity)
            fresh.servable.load()
        except BeamfleetError as error:
            self._fail(str(error))
            return False
        LOG.info("serving version %s instead of %s", fresh.version, self.served.version)
        self.served, self._seen = fresh, seen
        self.damage = self._damaged_entity = ""
        self._recovered()
        return True

    def _wanted(self) -> Wanted:
        return _current(self._pushed) if self._pushed else Wanted(self._uri)

    def _open(self, found: Wanted) -> Served:
        servable = opener(found.uri)(found.uri, self._cache_bytes)
        return Served(found.version or servable.fingerprint[:12], servable)

    def _fail(self, reason: str) -> None:
        if reason != self.failure:
            LOG.error("still serving version %s: %s", self.served.version, reason)
        self.failure = reason

    def _recovered(self) -> None:
        self.failure, self._failed = "", None


def _is_lone(uri: str) -> bool:
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
