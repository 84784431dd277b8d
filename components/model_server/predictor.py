"""Entity models as a KServe model."""

import asyncio
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from kserve import InferOutput, InferRequest, InferResponse, Model

from components.entity_models.predict import predict
from components.entity_models.store import UnreadableModelError
from components.model_server import metrics
from components.model_server.requests import RequestError, to_table
from components.model_server.responses import (
    check_rows,
    input_tensors,
    output_tensors,
    to_outputs,
)
from components.model_server.served import ServedModels
from components.model_server.workers import Workers

_THREADS = 4


class EntityPredictor(Model):
    """Predicts each row with the model of its entity.

    The work runs in threads, so that health and metrics answer meanwhile.
    """

    def __init__(self, name: str, models: ServedModels, max_rows: int) -> None:
        super().__init__(name)
        self.models = models
        self._max_rows = max_rows
        self._workers = Workers(_THREADS)
        self.ready = True

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
        return await asyncio.wrap_future(self._workers.submit(self._answer, payload))

    def get_input_types(self) -> list[dict[str, Any]]:
        return input_tensors(self.models.served.models.spec)

    def get_output_types(self) -> list[dict[str, Any]]:
        return output_tensors(self.models.served.models.spec)

    def _answer(self, request: InferRequest) -> InferResponse:
        served = self.models.served
        spec = served.models.spec
        wanted = [output.name for output in request.request_outputs or []]
        known = [tensor["name"] for tensor in output_tensors(spec)]
        for name in wanted:
            if name not in known:
                raise RequestError(400, f"no output {name[:60]!r}; there are {', '.join(known)}")
        table = to_table(request.inputs, spec, self._max_rows)
        try:
            result = predict(served.models, table)
        except UnreadableModelError as error:
            raise RequestError(503, self.models.report_damage(served, error)) from error
        check_rows(result)
        _count(result)
        return InferResponse(
            response_id=request.id or str(uuid.uuid4()),
            model_name=self.name,
            model_version=served.version,
            infer_outputs=[
                InferOutput(**tensor)
                for tensor in to_outputs(result, spec)
                if not wanted or tensor["name"] in wanted
            ],
        )


def _count(result: pa.Table) -> None:
    fallback = int(pc.sum(result.column("fallback")).as_py())
    metrics.ROWS.labels("true").inc(fallback)
    metrics.ROWS.labels("false").inc(result.num_rows - fallback)
