"""Opens whatever predicts rows of columns: entity models, or one SavedModel for all rows."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from components.entity_models.spec import ModelSpec
from components.entity_models.store import EntityModels


class Models(Protocol):
    """What those who predict, serve and push need to know."""

    uri: str
    spec: ModelSpec
    fingerprint: str
    """SHA-256 that another content would change."""
    counts: Mapping[str, int]

    @property
    def frameworks(self) -> Collection[str]:
        """Names of the libraries that the models need."""

    def own(self, entity: str) -> Any:
        """The model of an entity; None if it has none."""

    def fallback(self) -> Any:
        """The model of entities that have none; None if there is none."""

    def check(self) -> None:
        """Reads all that is stored and compares it with its checksums; nothing is decoded.

        Raises:
          BeamfleetError: naming the first that is missing or was changed.
        """


def open_models(uri: str, cache_bytes: int | None = None) -> Models:
    """Opens what lies there, on any Beam filesystem.

    Args:
      uri: Folder.
      cache_bytes: Bounds the loaded models of entities.

    Raises:
      BeamfleetError: it is not whole.
    """
    from components.saved_model.layout import find_saved_model

    if find_saved_model(uri):
        from components.saved_model.store import SavedModel

        return SavedModel(uri)
    return EntityModels(uri) if cache_bytes is None else EntityModels(uri, cache_bytes)
