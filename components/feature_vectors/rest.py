"""Feature vectors over HTTP.

    GET  /          which service, what a row has to have, and what comes back
    GET  /health    whether the online store answers
    POST /vectors   {"rows": [{"card_id": "c1", "amount": 7.5}]} and, if you like, "request_time"

The answer has a row for each row, in order: request columns and features; null where nothing is
known, the value is older than its view's ttl, or it is no number that JSON has. A request is
answered as a whole or refused as a whole, with {"error": "<one sentence>"}: 400 rows that are not
meant so (named), 404 no such path, 405 another method, 408 the body did not arrive, 413 too large,
415 not JSON, 500 a failure (the log has it), 503 the online store does not answer.

There is no login and no TLS: it listens on the loopback unless told otherwise.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from components.errors import BeamfleetError
from components.feature_vectors.rows import RowError, columns_of, frame_of_rows
from components.feature_vectors.vectors import FeatureVectors
from components.features.definition import fingerprint
from components.model_server.body import parsed, read_body
from components.model_server.feature_times import REQUEST_TIME, request_time
from components.model_server.requests import RequestError
from components.model_server.workers import Workers

LOG = logging.getLogger("beamfleet.features")
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ROWS = 10_000
_BODY_S = 30.0
_THREADS = 4


def application(vectors: FeatureVectors) -> Starlette:
    """An ASGI application that answers with the vectors of one service version."""
    answers = _Answers(vectors)
    routes = [
        Route("/", answers.about),
        Route("/health", answers.health),
        Route("/vectors", answers.vectors, methods=["POST"]),
    ]
    handlers: Mapping[Any, Any] = {
        RequestError: _refused,
        RowError: _refused,
        BeamfleetError: _unavailable,
        HTTPException: _no_such,
        Exception: _failed,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


class _Answers:
    """The endpoints. The work runs in threads, so that health answers meanwhile."""

    def __init__(self, vectors: FeatureVectors) -> None:
        self._vectors, self._service = vectors, vectors.service
        self._workers = Workers(_THREADS)
        self._head = {"service": self._service.name, "version": self._service.version}

    async def about(self, _: Request) -> Response:
        gives = self._service.request | self._service.schema
        return _json(
            self._head
            | {
                "fingerprint": fingerprint(self._service),
                "takes": {name: kind.__name__ for name, kind in columns_of(self._service).items()},
                "gives": {name: kind.__name__ for name, kind in gives.items()},
                "transformed": sorted(self._service.transformations),
            }
        )

    async def health(self, _: Request) -> Response:
        await asyncio.wrap_future(self._workers.submit(self._vectors.check))
        return _json(self._head | {"ready": True})

    async def vectors(self, request: Request) -> Response:
        try:
            body = await asyncio.wait_for(read_body(request, MAX_BODY_BYTES), _BODY_S)
        except TimeoutError:
            raise RequestError(408, f"the body did not arrive within {_BODY_S:g} s") from None
        return _json(await asyncio.wrap_future(self._workers.submit(self._answer, body)))

    def _answer(self, body: bytes) -> dict[str, Any]:
        rows, given = _rows(parsed(body))
        now = given or datetime.now(UTC)
        inputs = self._vectors.read(frame_of_rows(self._service, rows), now).inputs
        return self._head | {REQUEST_TIME: now, "rows": inputs.to_dicts()}


def _rows(content: object) -> tuple[list[dict[str, Any]], datetime | None]:
    if not isinstance(content, dict) or not isinstance(content.get("rows"), list):
        raise RequestError(400, 'expected an object such as {"rows": [{"card_id": "c1"}]}')
    if unknown := sorted(set(content) - {"rows", REQUEST_TIME}):
        raise RequestError(400, f"unknown {unknown[0][:60]!r}; expected rows and {REQUEST_TIME}")
    rows = content["rows"]
    if not rows:
        raise RequestError(400, "'rows' is empty; expected one at least")
    if len(rows) > MAX_ROWS:
        raise RequestError(413, f"{len(rows)} rows in one request, at most {MAX_ROWS} are taken")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RequestError(400, f"row {number} is no object such as {{'card_id': 'c1'}}")
    return rows, request_time(content)


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    response = _json({"error": str(error)}, getattr(error, "status", 400))
    if response.status_code in (408, 413):
        response.headers["connection"] = "close"
    return response


async def _unavailable(_: Request, error: Exception) -> Response:
    LOG.error("features cannot be looked up: %s", error)
    return _json({"error": "features cannot be looked up; the log says why"}, 503)


async def _no_such(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": str(error.detail)}, error.status_code)


async def _failed(_: Request, error: Exception) -> Response:
    LOG.error("request failed", exc_info=error)
    return _json({"error": "the server could not answer; its log says why"}, 500)
