"""`beamfleet serve`: the pushed models, or the pushed ensemble, over HTTP."""

import argparse
import logging
import sys

from components.errors import BeamfleetError
from components.model_server.config import ServerConfig
from pipelines.checks import EXTRAS, check_installed
from pipelines.pushed import pushed_directory, version_path


def main(arguments: argparse.Namespace) -> int:
    """Serves until Ctrl-C or SIGTERM."""
    directory = pushed_directory(arguments.models)
    # The directory follows CURRENT; one version's folder stays as it is.
    model = version_path(directory, arguments.version) if arguments.version else directory
    config = ServerConfig(
        model,
        host=arguments.host,
        port=arguments.port,
        model_name=arguments.model_name,
        log_served=arguments.log_served,
    )
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    from components.model_server.server import serve

    try:
        serve(config)
    except BeamfleetError as error:
        _say_how_to_install(error.__cause__)
        raise
    return 0


def _say_how_to_install(cause: BaseException | None) -> None:
    """Raises what `run` would say, if it is only that a package of an extra is not installed."""
    for extra, modules in EXTRAS.items():
        if isinstance(cause, ModuleNotFoundError) and cause.name in modules:
            check_installed(extra)
