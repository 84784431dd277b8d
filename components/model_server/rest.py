"""KServe's REST server with our address, our limits and only the endpoints that we want.

KServe 0.21 listens on 0.0.0.0, sets no limit to a body, answers some malformed requests with a 500
and the exception's text, and lets callers load and unload models by name. Its registry, data plane,
model class, V2 endpoints and metrics are used as they are; what binds, reads and decodes is here.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from kserve import InferInput, InferRequest, InferResponse, ModelRepository
from kserve.errors import ModelNotFound
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.infer_type import RequestedOutput
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer, metrics_handler
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from starlette.exceptions import HTTPException

from components.model_server import metrics
from components.model_server.body import parsed, read_body
from components.model_server.config import ServerConfig
from components.model_server.listening import Server
from components.model_server.predictor import Predictor
from components.model_server.requests import RequestError, check_request
from components.model_server.workers import Workers

LOG = logging.getLogger("beamfleet.server")
_POLL_S = 1.0
_GRACE_S = 2
_MAX_WAITING = 64
_MAX_WAITING_BYTES = 512 * 1024 * 1024


class Rest(RESTServer):
    """Serves one predictor on a socket that is already bound."""

    def __init__(
        self, predictor: Predictor, config: ServerConfig, on_listening: Callable[[], None]
    ) -> None:
        registry = ModelRepository()
        registry.update(predictor)
        metrics.VARIANTS.variants = predictor.models.metrics
        super().__init__(
            "",
            DataPlane(registry),
            ModelRepositoryExtension(registry),
            config.port,
            grace_period=_GRACE_S,
        )
        self._predictor = predictor
        self._settings = config
        self._refresher = Workers(1)
        self._waiting = 0
        self.config.host = config.host
        logging.getLogger("uvicorn.access").propagate = False  # no line a request
        self.config.ws = "none"
        self._server = Server(self.config, on_listening)

    def create_application(self) -> None:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=self._follow)
        self._register_endpoints(app)
        app.add_exception_handler(RequestError, _answer_request_error)
        app.add_exception_handler(ModelNotFound, _answer_not_found)
        app.add_exception_handler(HTTPException, _answer_http)
        app.add_exception_handler(Exception, _answer_failure)
        self.config.app = app

    def _register_endpoints(self, app: FastAPI) -> None:
        """The V2 paths without those that load and unload models."""
        v2 = V2Endpoints(self.dataplane)
        for path, handler in {
            "/": v2.live,
            "/metrics": metrics_handler,
            "/v2": self._metadata,
            "/v2/health/live": v2.live,
            "/v2/health/ready": self._ready,
            "/v2/models": v2.models,
            "/v2/models/{model_name}": self._model_metadata,
            "/v2/models/{model_name}/ready": self._model_ready,
            "/v2/models/{model_name}/traffic": self._traffic,
        }.items():
            app.add_api_route(path, handler, methods=["GET"], response_model=None)
        app.add_api_route(
            "/v2/models/{model_name}/infer", self._infer, methods=["POST"], response_model=None
        )

    async def _ready(self) -> dict[str, Any]:
        if not await self._predictor.healthy():
            raise RequestError(503, self._predictor.models.damage)
        return {"ready": True}

    async def _model_ready(self, model_name: str) -> dict[str, Any]:
        self.dataplane.get_model_from_registry(model_name)
        return {"name": model_name, **await self._ready()}

    async def _traffic(self, model_name: str) -> dict[str, Any]:
        self.dataplane.get_model_from_registry(model_name)
        return self._predictor.models.describe()

    async def _metadata(self) -> dict[str, Any]:
        return {**self.dataplane.metadata(), "extensions": []}

    async def _model_metadata(self, model_name: str) -> dict[str, Any]:
        """V2 metadata; `parameters.stale` says why what CURRENT names is not all served, `warning`
        what the answers lacked when the champion was loaded.
        """
        metadata = await self.dataplane.model_metadata(model_name)
        models = self._predictor.models
        return {
            **metadata,
            "platform": "beamfleet",
            "versions": [one.version for one in models.routes.variants],
            "parameters": {"stale": models.failure, "warning": models.served.servable.warning},
        }

    async def _infer(self, model_name: str, request: Request) -> Response:
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        try:
            response = await self._infer_within_limits(model_name, request)
            status = response.status_code
            return response
        except (RequestError, ModelNotFound) as error:
            status = getattr(error, "status", HTTPStatus.NOT_FOUND.value)
            raise
        finally:
            metrics.REQUESTS.labels(str(status)).inc()

    async def _infer_within_limits(self, model_name: str, request: Request) -> Response:
        self.dataplane.get_model_from_registry(model_name)
        limit = self._predictor.max_body_bytes
        most = min(_MAX_WAITING, max(1, _MAX_WAITING_BYTES // limit))
        if self._waiting >= most:
            raise RequestError(503, f"{most} requests are waiting already; try again")
        self._waiting += 1
        try:
            limit_s = self._settings.request_timeout_s
            with _deadline(408, f"the body did not arrive within {limit_s:g} s"):
                body = await asyncio.wait_for(read_body(request, limit), limit_s)
            asked = _infer_request(model_name, check_request(parsed(body)))
            del body  # it may be large, and the prediction may have to wait
            with _deadline(504, f"no prediction within {limit_s:g} s; send fewer rows"):
                answer, _ = await asyncio.wait_for(self.dataplane.infer(model_name, asked), limit_s)
            return Response(orjson.dumps(_response_body(answer)), media_type="application/json")
        finally:
            self._waiting -= 1

    @contextlib.asynccontextmanager
    async def _follow(self, _: FastAPI) -> AsyncIterator[None]:
        """Follows the pointer while the application runs."""
        task = asyncio.create_task(self._refresh_for_ever())
        yield
        task.cancel()

    async def _refresh_for_ever(self) -> None:
        models = self._predictor.models
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                if await asyncio.wrap_future(self._refresher.submit(models.refresh)):
                    metrics.SWAPS.inc()
            except Exception:  # a remote file system may raise anything; the next look may work
                LOG.exception("cannot look for a new version")
            metrics.STALE.set(bool(models.failure))


@contextlib.contextmanager
def _deadline(status: int, message: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise RequestError(status, message) from None


def _infer_request(model_name: str, content: dict[str, Any]) -> InferRequest:
    inputs = [
        InferInput(t["name"], t["shape"], t["datatype"], t["data"]) for t in content["inputs"]
    ]
    outputs = [RequestedOutput(output["name"]) for output in content.get("outputs") or []]
    parameters = content.get("parameters") or {}
    return InferRequest(
        model_name, inputs, content.get("id"), parameters=parameters, request_outputs=outputs
    )


def _response_body(answer: InferResponse) -> dict[str, Any]:
    """The V2 JSON; KServe's own `to_rest` takes each value through numpy, one at a time."""
    fields = ("name", "shape", "datatype", "parameters", "data")
    outputs = [{field: getattr(output, field) for field in fields} for output in answer.outputs]
    return {
        "model_name": answer.model_name,
        "model_version": answer.model_version,
        "id": answer.id,
        "parameters": answer.parameters,
        "outputs": [{k: v for k, v in output.items() if v is not None} for output in outputs],
    }


async def _answer_request_error(_: Request, error: Exception) -> JSONResponse:
    status = getattr(error, "status", HTTPStatus.BAD_REQUEST.value)
    headers = {"connection": "close"} if status in (408, 413) else {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "1"
    return JSONResponse({"error": str(error)}, status, headers)


async def _answer_not_found(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)[:200]}, HTTPStatus.NOT_FOUND)


async def _answer_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)


async def _answer_failure(_: Request, error: Exception) -> JSONResponse:
    reference = uuid.uuid4().hex[:8]
    LOG.error("request failed, reference %s: %s", reference, error)
    message = f"the server could not answer; its log says why under reference {reference}"
    return JSONResponse({"error": message}, HTTPStatus.INTERNAL_SERVER_ERROR)
