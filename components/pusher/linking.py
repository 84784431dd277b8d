"""Tells the registry of features, if the models read any, which version was pushed."""

from collections.abc import Iterable

from components.pusher.directory import Version
from components.pusher.stores import open_store


def link_version(version: Version, learnt: Iterable[str]) -> None:
    """Notes that a version learnt from what these models learnt from: trained ones, or versions."""
    service = str(open_store(version.path).interface.get("service") or "")
    if service:
        # Imported here: polars and declarations, which models without features do not need.
        from components.feature_vectors.linked import link_pushed

        link_pushed(service, list(learnt), version.path)
