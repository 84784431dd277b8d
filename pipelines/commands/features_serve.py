"""`beamfleet features serve`: feature vectors over HTTP."""

import argparse
import json
import logging

from pipelines.feature_stores import store_root
from pipelines.render import shown


def main(arguments: argparse.Namespace) -> int:
    """Serves until it is stopped."""
    root = store_root(arguments.store)
    # Imported here: polars, the user's declarations and the HTTP server.
    from components.feature_vectors.serving import serve, vectors_of

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    vectors = vectors_of(arguments.service, root, arguments.split)
    service = vectors.service

    def listening(url: str) -> None:
        told = {"url": url, "service": service.name, "version": service.version}
        if arguments.json:
            print(json.dumps(told), flush=True)
            return
        print(shown(f"{service.name} version {service.version} is served at {url}"), flush=True)
        print(f"curl {url} says what a request has to have; stop with Ctrl-C", flush=True)

    serve(vectors, arguments.host, arguments.port, listening)
    return 0
