"""The models that are served now, and the pointer that may move them."""

import importlib
import logging
import time
from dataclasses import dataclass

import pyarrow.compute as pc

from components.entity_models.store import EntityModels, IndexEntry, UnreadableModelError
from components.errors import BeamfleetError
from components.files import exists
from components.imports import heavy_imports
from components.pusher.versions import PushedVersions

LOG = logging.getLogger("beamfleet.server")
_RETRY_S = 30.0
_PACKAGES = {
    "sklearn": ("sklearn.pipeline", "sklearn.compose", "sklearn.tree"),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "keras": ("keras",),
}


@dataclass(frozen=True)
class Served:
    """One opened version. A request takes it once, so that a swap falls between requests."""

    version: str
    """Number of the pushed version, or the first 12 digits of a lone store's fingerprint."""
    models: EntityModels


class ServedModels:
    """Opens a pushed directory or one store, and follows the directory's pointer.

    The new version is loaded beside the old one and replaces it when it is whole; the old one is
    freed with its last request. A version that cannot be loaded leaves the old one in place.

    Raises:
      BeamfleetError: there is nothing to serve, or it is broken.
    """

    def __init__(self, uri: str, cache_bytes: int) -> None:
        self._cache_bytes = cache_bytes
        self._pushed = None if _is_store(uri) else PushedVersions(uri)
        self._seen: tuple[int, str] | None = None
        self._failed: tuple[int, str] | None = None
        self._retry_at = 0.0
        self.failure = ""
        """Why the version that CURRENT names is not served; "" if it is."""
        self.damage = ""
        """What of the served version cannot be read any more; "" if all can."""
        self._damaged_entity = ""
        if self._pushed is None:
            self.served = self._open(uri, "")
            return
        version = self._pushed.current()
        if version is None:
            raise BeamfleetError(f"nothing was pushed to {uri} yet; push a version, then serve it")
        self._seen = (version.number, str(version.details["store_fingerprint"]))
        self.served = self._open(version.path, str(version.number))

    def import_frameworks(self) -> None:
        """Imports what the models need, so that the first request need not."""
        frameworks = set(self.served.models.index().column("framework").to_pylist())
        with heavy_imports():
            for framework in frameworks & set(_PACKAGES):
                for package in _PACKAGES[framework]:
                    importlib.import_module(package)

    def load_fallback(self) -> None:
        """Loads the model that answers for entities without one.

        Raises:
          BeamfleetError: it cannot be loaded.
        """
        self.served.models.fallback()

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
            path, version, seen = self._wanted()
            if seen == self._seen:
                self._recovered()
                return False
            if seen == self._failed and time.monotonic() < self._retry_at:
                return False
            self._failed, self._retry_at = seen, time.monotonic() + _RETRY_S
            fresh = self._open(path, version)
            check_payloads(fresh.models)
            fresh.models.fallback()
            fresh.models.own(self._damaged_entity)
        except BeamfleetError as error:
            self._fail(str(error))
            return False
        LOG.info("serving version %s instead of %s", fresh.version, self.served.version)
        self.served, self._seen = fresh, seen
        self.damage = self._damaged_entity = ""
        self._recovered()
        return True

    def _wanted(self) -> tuple[str, str, tuple[int, str]]:
        """Path, name and identity of what is to be served."""
        if self._pushed is None:
            return self.served.models.uri, "", (0, self.served.version)
        version = self._pushed.current()
        if version is None:
            raise BeamfleetError(f"{self._pushed.directory}: CURRENT names no version any more")
        seen = (version.number, str(version.details["store_fingerprint"]))
        return version.path, str(version.number), seen

    def _open(self, uri: str, version: str) -> Served:
        models = EntityModels(uri, self._cache_bytes)
        return Served(version or models.fingerprint[:12], models)

    def _fail(self, reason: str) -> None:
        if reason != self.failure:
            LOG.error("still serving version %s: %s", self.served.version, reason)
        self.failure = reason

    def _recovered(self) -> None:
        self.failure, self._failed = "", None


def check_payloads(models: EntityModels) -> None:
    """Reads every model's bytes and compares them with the index; nothing is decoded.

    Raises:
      BeamfleetError: naming the first entity whose bytes are missing or changed.
    """
    index = models.index()
    for row in index.filter(pc.equal(index.column("status"), "trained")).to_pylist():
        models.payload(IndexEntry(**row))


def _is_store(uri: str) -> bool:
    store = exists(f"{uri}/manifest.json")
    if not store and not exists(f"{uri}/CURRENT"):
        raise BeamfleetError(
            f"{uri} is neither a pushed directory (it has no CURRENT) nor an entity-models store "
            "(no manifest.json); push a model there first, or correct the path"
        )
    return store
