"""Serves the feature vectors of a service, until it is told to stop."""

from collections.abc import Callable
from pathlib import Path

import uvicorn

from components.errors import BeamfleetError
from components.feature_computer.declared import declared
from components.feature_store.split_files import read_fitted
from components.feature_vectors.rest import application
from components.feature_vectors.vectors import FeatureVectors
from components.features.service import FeatureService
from components.model_server.listening import Server
from components.model_server.server import bound_socket
from components.online_store import online_store_of

_GRACE_S = 2


def vectors_of(path: str, store: Path, split: int | None) -> FeatureVectors:
    """The vectors of a declared service.

    Args:
      path: Dotted path of the FeatureService.
      store: Folder of the feature store.
      split: Number of the training split whose fitted values the transformations apply.

    Raises:
      BeamfleetError: there is no such service or split, the online store does not answer, or it
        has nothing of a view.
    """
    service = declared(path)
    if not isinstance(service, FeatureService):
        raise BeamfleetError(f"{path} is a feature view, expected a FeatureService")
    if service.transformations and split is None:
        raise BeamfleetError(
            f"feature service {service.name!r} transforms {', '.join(service.transformations)}: "
            "say with what which training split has fitted, --split NUMBER"
        )
    fitted = read_fitted(store, service, split) if split is not None else {}
    vectors = FeatureVectors(service, online_store_of(store), fitted)
    vectors.check()
    vectors.check_filled()
    return vectors


def serve(
    vectors: FeatureVectors, host: str, port: int, on_listening: Callable[[str], None]
) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
      vectors: Of one service.
      host: Address to listen on.
      port: 0 takes a free one.
      on_listening: Is given the URL.

    Raises:
      BeamfleetError: the address is taken.
    """
    with bound_socket(host, port) as listener:
        named = f"[{host}]" if ":" in host else host
        url = f"http://{named}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            application(vectors),
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=_GRACE_S,
            ws="none",
        )
        Server(config, lambda: on_listening(url)).run([listener])
