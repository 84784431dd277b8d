"""When a request is made, where the client says so."""

from collections.abc import Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any

from components.model_server.requests import RequestError, shown

REQUEST_TIME = "request_time"
"""Parameter of a request."""


def request_time(parameters: Mapping[str, Any]) -> datetime | None:
    """When the client says that it makes the request.

    Raises:
      RequestError: 400, it is no time.
    """
    text = parameters.get(REQUEST_TIME)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        if not MINYEAR + 1 < time.year < MAXYEAR:  # nothing can be taken from the first moment
            raise ValueError
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(
            400, f"{REQUEST_TIME} is {shown(text)}, expected a time such as 2024-05-01T12:30:00Z"
        ) from None
