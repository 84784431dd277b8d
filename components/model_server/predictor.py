"""What is served, as a KServe model."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model

from components.entity_models.store import UnreadableModelError
from components.model_server.answers import Asked, counted_answer
from components.model_server.config import ServerConfig
from components.model_server.feature_times import request_time
from components.model_server.requests import RequestError, shown
from components.model_server.routes import Part, Routes, Served, joined, request_key, some_rows
from components.model_server.servable import Limits, Servable
from components.model_server.served import ServedModels
from components.model_server.shadow import Shadow
from components.model_server.workers import Workers

_NAMED_ROWS = 5


class Predictor(Model):
    """Answers requests with the versions that are served.

    The work runs in threads, so that health and metrics answer meanwhile. A challenger has threads
    of its own: one that hangs takes none from the champion.
    """

    def __init__(self, config: ServerConfig, models: ServedModels) -> None:
        super().__init__(config.model_name)
        self.models = models
        self._config = config
        self._workers = Workers(models.served.servable.threads)
        self._challengers: tuple[Servable | None, Workers] = None, Workers(0)
        self._shadow = Shadow(config.request_timeout_s)
        self.ready = True

    @property
    def max_body_bytes(self) -> int:
        return self._config.max_body_bytes or self.models.served.servable.max_body_bytes

    async def healthy(self) -> bool:
        """Whether the champion's models can be read."""
        return not self.models.damage

    async def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> InferResponse:
        """Answers one request.

        Raises:
          RequestError: the request does not fit the models, a row cannot be predicted, or a model
            was removed or damaged.
        """
        given, request_id = payload.parameters or {}, payload.id or str(uuid.uuid4())
        until = time.monotonic() + self._config.request_timeout_s
        limits = Limits(self._config.max_rows, until, request_time(given), request_id)
        routes, now = self.models.routes, datetime.now(UTC)
        key = request_key(given, payload.id or "")
        asked = Asked(payload.inputs, _wanted(payload, routes.champion.servable), limits)
        parts = await self._parts(routes, key if routes.shared(now) else "", asked)
        if shadow := routes.shadow(now):
            self._shadow.follow(shadow, asked, parts[0].outputs)
        outputs, parameters = joined(parts)
        return InferResponse(
            response_id=request_id,
            model_name=self.name,
            model_version=",".join(dict.fromkeys(part.served.version for part in parts)),
            infer_outputs=[InferOutput(**t) for t in outputs if t["name"] in asked.wanted],
            parameters=parameters,
        )

    def get_input_types(self) -> list[dict[str, Any]]:
        return self.models.served.servable.input_tensors()

    def get_output_types(self) -> list[dict[str, Any]]:
        return self.models.served.servable.output_tensors()

    async def _parts(self, routes: Routes, key: str, asked: Asked) -> list[Part]:
        """What the variants answer, each to its rows; the champion to all without a `key`."""
        if not key:
            return [await self._part(routes, routes.champion, asked)]
        if not routes.by_entity:
            return [await self._part(routes, routes.of_key(key), asked)]
        entities = routes.champion.servable.keys
        keys = self._workers.submit(entities, asked.inputs, asked.limits.max_rows)
        found = routes.of_rows([*await asyncio.wrap_future(keys)])
        if len(found) == 1:
            return [await self._part(routes, found[0][0], asked)]
        parts = (self._part(routes, one, asked, rows) for one, rows in found)
        return await asyncio.gather(*parts)

    async def _part(
        self, routes: Routes, served: Served, asked: Asked, rows: Sequence[int] = ()
    ) -> Part:
        """The answer of one variant; that of the champion where a challenger cannot be read."""
        part = replace(asked, inputs=some_rows(asked.inputs, rows)) if rows else asked
        workers = self._workers_of(served, routes)
        try:
            return Part(served, rows, await counted_answer(workers, served, part))
        except UnreadableModelError as error:
            said = self.models.report_damage(served, error)
            if served is routes.champion:
                raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, said) from error
            return await self._part(routes, routes.champion, asked, rows)
        except RequestError as error:
            raise _of_rows(error, rows) from error

    def _workers_of(self, served: Served, routes: Routes) -> Workers:
        """The threads of a version; each challenger has new ones, whatever became of the last."""
        servable = served.servable
        # Ensembles need not be safe in threads, so that all of them share one.
        if served is routes.champion or servable.threads == 1:
            return self._workers
        known, workers = self._challengers
        if known is not servable:
            workers.close()
            workers = Workers(servable.threads)
            self._challengers = servable, workers
        return workers


def _of_rows(error: RequestError, rows: Sequence[int]) -> RequestError:
    """An error that counts the rows of a part, with what those are in the request."""
    if not rows or error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        return error
    named = ", ".join(map(str, rows[:_NAMED_ROWS])) + (", ..." if rows[_NAMED_ROWS:] else "")
    return RequestError(error.status, f"of rows {named} of the request: {error}")


def _wanted(request: InferRequest, servable: Servable) -> list[str]:
    """Names of the outputs that the client asks for; all unless it names some."""
    known = [tensor["name"] for tensor in servable.output_tensors()]
    wanted = [output.name for output in request.request_outputs or []]
    for name in wanted:
        if name not in known:
            raise RequestError(400, f"no output {shown(name)}; there are {', '.join(known)}")
    return wanted or known
