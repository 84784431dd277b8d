"""The validator's HTTP client: one connection, JSON, wall-clock times."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

_TIMEOUT_S = 60.0
INFER = "/v2/models/model/infer"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    content: Any
    """The JSON of the body; None if it is not JSON."""
    milliseconds: float
    """From the first byte sent to the last one received."""

    @property
    def error(self) -> str:
        return str(self.content.get("error", "")) if isinstance(self.content, dict) else ""


class Client:
    """Calls one server over one connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._connection.close()

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Sends one request.

        Raises:
          OSError, http.client.HTTPException: no whole response came; the connection is new after.
        """
        start = time.perf_counter()
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        elapsed = (time.perf_counter() - start) * 1000
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        return Answer(response.status, content, elapsed)

    def infer(self, request: Mapping[str, Any]) -> Answer:
        """Asks for predictions."""
        return self.call("POST", INFER, json.dumps(request, allow_nan=False).encode(), JSON)

    def is_ready(self) -> bool:
        """Whether the server says so."""
        try:
            return self.call("GET", "/v2/health/ready").status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
