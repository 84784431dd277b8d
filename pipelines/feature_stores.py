"""Finds feature stores on disk, and their registries."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import BeamfleetError

if TYPE_CHECKING:
    from components.feature_registry import Registry

REGISTRY = "registry.db"
OF_PIPELINE = "features"
"""Folder of the store within the root of a pipeline."""


def store_root(given: str | None) -> Path:
    """The root of a store.

    Args:
      given: It, or the root of a pipeline that has one.

    Raises:
      BeamfleetError: none was given, or there is none.
    """
    if given is None:
        there = sorted(
            {str(file.parents[1]) for file in Path("runs").glob("*/features/registry.db")}
        )
        hint = f"; there is {', '.join(there)}" if there else ""
        raise BeamfleetError(
            f"say which feature store: --store ROOT, such as --store runs/payments{hint}"
        )
    for root in (Path(given), Path(given, OF_PIPELINE)):
        if (root / REGISTRY).is_file():
            return root
    raise BeamfleetError(
        f"no feature store at {given}: expected {REGISTRY} or {OF_PIPELINE}/{REGISTRY} there; "
        "FeatureStore(root).apply([...]) makes one, and so does a pipeline that reads features"
    )


def registry_of(given: str | None) -> "Registry":
    """The registry of a store; see `store_root`."""
    root = store_root(given)
    from components.feature_registry import Registry

    return Registry(root / REGISTRY)
