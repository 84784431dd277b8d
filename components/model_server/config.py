"""What the server serves, where, and its limits."""

import re
from dataclasses import dataclass

from components.errors import BeamfleetError


@dataclass(frozen=True)
class ServerConfig:
    """Settings of one server.

    Raises:
      BeamfleetError: a setting is out of its range.
    """

    model: str
    """Pushed directory, whose CURRENT is followed, or one entity-models store or ensemble."""
    host: str = "127.0.0.1"
    """Address to listen on. Only this machine can call the default one; there is no login."""
    port: int = 8080
    """0 takes a free one, which the log and the status file name."""
    model_name: str = "model"
    """Name in the paths: /v2/models/<model_name>/infer."""
    max_body_bytes: int | None = None
    """A larger request body gets a 413. None is 8 MiB for entity models, 32 MiB for ensembles."""
    max_rows: int = 10_000
    """A request with more rows gets a 413."""
    request_timeout_s: float = 30.0
    """Seconds for reading a body (then 408), and again for the prediction (then 504)."""
    cache_bytes: int = 256 * 1024 * 1024
    """Bound of the loaded models of one version, least recently used ones go first."""
    status_file: str = ""
    """JSON file that says how far the start is; see `startup`. "" writes none."""
    log_served: bool = False
    """Append the vectors and predictions of models with a feature service to the log of its store.
    """
    stop_with_stdin: bool = False
    """Stop when standard input ends, so that the server does not outlive its parent."""

    def __post_init__(self) -> None:
        if not self.model:
            raise BeamfleetError("name the pushed directory or the store to serve")
        if not 0 <= self.port <= 65_535:
            raise BeamfleetError(f"port must be from 0 to 65535, got {self.port}")
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", self.model_name):
            raise BeamfleetError(
                f"model name {self.model_name!r} must be letters, digits, '.', '_' or '-'"
            )
        for name in ("max_body_bytes", "max_rows", "request_timeout_s", "cache_bytes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BeamfleetError(f"{name} must be above 0, got {value}")
