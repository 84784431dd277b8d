"""Reads the bodies of requests."""

import orjson
from starlette.requests import ClientDisconnect, Request

from components.model_server.requests import RequestError

_DRAINED_BODIES = 8


async def read_body(request: Request, limit: int) -> bytes:
    """Reads a JSON body of limited size, whether or not its length is declared.

    A body that is too large is read on for a while and thrown away, because a client that is cut
    off while it sends does not get to see the answer.

    Raises:
      RequestError: 415 not JSON, 413 too large, 400 cut off.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or "content-encoding" in request.headers:
        raise RequestError(415, "send Content-Type: application/json and no Content-Encoding")
    body, size = bytearray(), 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                body += chunk
            elif size > _DRAINED_BODIES * limit:
                break
    except ClientDisconnect:
        raise RequestError(400, "the connection ended before the body did") from None
    if size > limit:
        raise RequestError(413, f"the body is larger than {limit} bytes; send fewer rows at once")
    return bytes(body)


def parsed(body: bytes) -> object:
    """The JSON values of a body.

    Raises:
      RequestError: 400, it is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
