"""What is served, as a KServe model."""

import asyncio
import time
import uuid
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model

from components.entity_models.store import UnreadableModelError
from components.model_server.config import ServerConfig
from components.model_server.requests import RequestError, shown
from components.model_server.servable import Limits, Servable
from components.model_server.served import ServedModels
from components.model_server.workers import Workers


class Predictor(Model):
    """Answers requests with the version that is served.

    The work runs in threads, so that health and metrics answer meanwhile.
    """

    def __init__(self, config: ServerConfig, models: ServedModels) -> None:
        super().__init__(config.model_name)
        self.models = models
        self._config = config
        self._workers = Workers(models.served.servable.threads)
        self.ready = True

    @property
    def max_body_bytes(self) -> int:
        return self._config.max_body_bytes or self.models.served.servable.max_body_bytes

    async def healthy(self) -> bool:
        """Whether the models can be read."""
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
        limits = Limits(self._config.max_rows, time.monotonic() + self._config.request_timeout_s)
        return await asyncio.wrap_future(self._workers.submit(self._answer, payload, limits))

    def get_input_types(self) -> list[dict[str, Any]]:
        return self.models.served.servable.input_tensors()

    def get_output_types(self) -> list[dict[str, Any]]:
        return self.models.served.servable.output_tensors()

    def _answer(self, request: InferRequest, limits: Limits) -> InferResponse:
        served = self.models.served
        outputs = _wanted(request, served.servable)
        try:
            tensors = served.servable.answer(request.inputs, outputs, limits)
        except UnreadableModelError as error:
            raise RequestError(503, self.models.report_damage(served, error)) from error
        return InferResponse(
            response_id=request.id or str(uuid.uuid4()),
            model_name=self.name,
            model_version=served.version,
            infer_outputs=[InferOutput(**tensor) for tensor in tensors],
        )


def _wanted(request: InferRequest, servable: Servable) -> list[str]:
    """Names of the outputs that the client asks for; all unless it names some."""
    known = [tensor["name"] for tensor in servable.output_tensors()]
    wanted = [output.name for output in request.request_outputs or []]
    for name in wanted:
        if name not in known:
            raise RequestError(400, f"no output {shown(name)}; there are {', '.join(known)}")
    return wanted or known
