"""What `beamfleet features skew` and `watch` are told: a store and a service."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import BeamfleetError

if TYPE_CHECKING:
    from components.features.service import FeatureService

_OF_PIPELINE = "features"
"""Folder of the store within the root of a pipeline."""


def served_root(given: str) -> Path:
    """The root of a store that served something: it, or the root of a pipeline that has one.

    Raises:
      BeamfleetError: there is none.
    """
    for root in (Path(given), Path(given, _OF_PIPELINE)):
        if (root / "served").is_dir():
            return root
    raise BeamfleetError(
        f"no log of served vectors at {given}: expected served/ or {_OF_PIPELINE}/served/ there; "
        "a model server that reads features writes it"
    )


def declared_service(dotted_path: str) -> "FeatureService":
    """The feature service of a module, such as user_code.payments.fraud.

    Raises:
      BeamfleetError: there is none.
    """
    from components.feature_computer.declared import declared
    from components.features.service import FeatureService

    found = declared(dotted_path)
    if not isinstance(found, FeatureService):
        raise BeamfleetError(f"{dotted_path} is a view, expected a FeatureService: what is served")
    return found
