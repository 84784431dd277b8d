"""What can be pushed: entity models, SavedModels, and ensembles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import BeamfleetError
from components.files import exists
from components.saved_model.layout import find_saved_model


@dataclass(frozen=True)
class PushedStore:
    """What a push needs to know of a store, whatever it holds."""

    uri: str
    kind: str
    """`entity models`, `a SavedModel` or `an ensemble`."""
    fingerprint: str
    """SHA-256 by which all of its content is known."""
    interface: Mapping[str, Any]
    """What callers rely on: columns, classes, stages."""
    interface_fingerprint: str
    """SHA-256 over the interface."""
    counts: Mapping[str, int]
    beside: tuple[str, ...]
    """Files in its folder that are no part of it."""
    check: Callable[[], None]
    """Reads everything back.

    Raises:
      BeamfleetError: something is missing or was changed.
    """


def open_store(uri: str) -> PushedStore:
    """Opens a store on any Beam filesystem; a file in it says of which kind it is.

    Raises:
      BeamfleetError: it is of no kind or of several, or it is broken.
    """
    uri = find_saved_model(uri) or uri
    there = [name for name in _KINDS if exists(f"{uri}/{name}")]
    if len(there) != 1:
        raise BeamfleetError(
            f"{uri} holds {' and '.join(there) or 'neither ' + ' nor '.join(_KINDS)}: not a model "
            "that can be pushed, or its making was stopped before it was whole; make it again"
        )
    return _KINDS[there[0]](uri)


def _tabular(kind: str) -> Callable[[str], PushedStore]:
    def opened(uri: str) -> PushedStore:
        from components.entity_models.layout import COSTS
        from components.entity_models.open import open_models

        models = open_models(uri)
        return PushedStore(
            uri=models.uri,
            kind=kind,
            fingerprint=models.fingerprint,
            interface=models.spec.to_dict(),
            interface_fingerprint=models.spec.fingerprint(),
            counts=models.counts,
            beside=(COSTS,),
            check=models.check,
        )

    return opened


def _ensemble(uri: str) -> PushedStore:
    from components.ensemble.bundle import Bundle

    bundle = Bundle(uri)
    return PushedStore(
        uri=bundle.uri,
        kind="an ensemble",
        fingerprint=bundle.fingerprint,
        interface=bundle.interface,
        interface_fingerprint=bundle.interface_fingerprint,
        counts=bundle.counts,
        beside=(),
        check=bundle.check,
    )


_KINDS: Mapping[str, Callable[[str], PushedStore]] = {
    "manifest.json": _tabular("entity models"),
    "saved_model.pb": _tabular("a SavedModel"),
    "ensemble.json": _ensemble,
}
