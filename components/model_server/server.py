"""Starts the server and runs it until it is told to stop."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

from components.errors import BeamfleetError
from components.imports import heavy_imports
from components.model_server.config import ServerConfig
from components.model_server.startup import Startup

LOG = logging.getLogger("beamfleet.server")


def serve(config: ServerConfig) -> None:
    """Serves until SIGTERM or SIGINT, which let the running requests end within two seconds.

    Raises:
      BeamfleetError: the address is taken, or there is nothing to serve there.
    """
    startup = Startup(config.status_file)
    if config.stop_with_stdin:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    try:
        with bound_socket(config.host, config.port) as listener:
            startup.bound(config.host, listener.getsockname()[1])
            _run(config, listener, startup)
    except BeamfleetError as error:
        startup.say("failed", reason=str(error))
        raise


def _run(config: ServerConfig, listener: socket.socket, startup: Startup) -> None:
    with _no_arguments(), heavy_imports():
        # Imported here: KServe, Beam's file systems and pandas take seconds.
        from components.model_server.example import example
        from components.model_server.predictor import Predictor
        from components.model_server.rest import Rest
        from components.model_server.servable import opener
        from components.model_server.served import ServedModels
        from components.model_server.target import wanted

        opener(wanted(config.model).uri)
    startup.lap("import_s")
    startup.say("loading")
    models = ServedModels(config.model, config.cache_bytes, config.log_served)
    startup.lap("load_s")
    models.served.servable.import_frameworks()
    startup.lap("import_s")
    models.served.servable.load()
    models.refresh()  # loads a challenger; the server starts without one that is broken
    startup.lap("load_s")

    def ready() -> None:
        startup.lap("ready_s")
        startup.say("ready", version=models.served.version)
        url = _url(config, listener)
        text = example(url, models.served.servable.input_tensors())
        LOG.info("%s is ready; call it by\n%s", url, text)

    Rest(Predictor(config, models), config, ready).run([listener])


def _url(config: ServerConfig, listener: socket.socket) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{listener.getsockname()[1]}/v2/models/{config.model_name}"


@contextlib.contextmanager
def bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A socket with the address, which does not listen yet: callers are refused until all is up.

    Raises:
      BeamfleetError: it is taken, or no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            raise BeamfleetError(
                f"cannot listen on {host} port {port}: {getattr(error, 'strerror', error)}; choose "
                "another port, or 0 for a free one"
            ) from None
        yield listener


@contextlib.contextmanager
def _no_arguments() -> Iterator[None]:
    """KServe parses the command line when it is imported; ours is none of its business."""
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = arguments


def _stop_with_stdin() -> None:
    # Not sys.stdin, whose lock the interpreter would wait for in vain when it ends.
    while os.read(0, 4096):
        pass
    LOG.info("standard input ended: stopping")
    os.kill(os.getpid(), signal.SIGTERM)
