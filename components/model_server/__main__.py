"""python -m components.model_server MODEL: runs the server."""

import argparse
import logging
import sys

from components.errors import BeamfleetError
from components.model_server.config import ServerConfig
from components.model_server.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line and serves; gives the exit status."""
    options = vars(_parser().parse_args(arguments))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        serve(ServerConfig(**options))
    except BeamfleetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.model_server",
        description="Serve entity models or an ensemble over the Open Inference Protocol (V2).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("model", help="pushed directory, whose CURRENT is followed, or one store or ensemble")
    add("--host", default=ServerConfig.host, help="address to listen on; there is no login")
    add("--port", type=int, default=ServerConfig.port, help="0 takes a free one")
    add("--model-name", default=ServerConfig.model_name, help="name in /v2/models/NAME/infer")
    add("--max-body-bytes", type=int, help="of a request; 8 MiB, for ensembles 32 MiB if not given")
    add("--max-rows", type=int, default=ServerConfig.max_rows, help="rows of a request")
    add("--request-timeout-s", type=float, default=ServerConfig.request_timeout_s, help="seconds")
    add("--cache-bytes", type=int, default=ServerConfig.cache_bytes, help="bytes of loaded models")
    add("--status-file", default=ServerConfig.status_file, help="JSON file: how far the start is")
    add(
        "--log-served",
        action="store_true",
        help="log vectors and predictions in served/ of the store of features",
    )
    add("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


if __name__ == "__main__":
    sys.exit(main())
