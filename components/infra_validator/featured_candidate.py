"""Entity models that look features up, outside the server."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pyarrow as pa

from components.errors import BeamfleetError
from components.infra_validator.candidate import Prediction, Sample
from components.infra_validator.entity_candidate import EntityCandidate
from components.infra_validator.malformed import Malformed, malformed_requests
from components.model_server.entities import ServableEntityModels
from components.model_server.feature_inputs import FeatureInputs
from components.model_server.feature_times import REQUEST_TIME
from components.model_server.requests import RequestError, Tensor


class FeaturedCandidate(EntityCandidate):
    """Every model of a store, and its feature service.

    It asks about rows of the Examples with keys that nobody has, because Examples have only those
    keys that the request names as columns too: what is looked up is absent, for the server as well
    as here. `parameters.request_time` has both compute what depends on the time alike.

    Raises:
      BeamfleetError: the models are damaged, their feature service is not the one that they were
        trained with, or the online store does not answer.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._inputs = FeatureInputs(self._models.spec)
        self._inputs.check()
        self._now = datetime.now(UTC)

    def sample(self, batches: Iterable[pa.RecordBatch], count: int) -> Sample:
        request = self._inputs.service.request
        rows: list[dict[str, Any]] = []
        for batch in batches:
            names = [name for name in request if name in batch.schema.names]
            more = batch.slice(0, count - len(rows)).select(names).to_pylist()
            rows += more if names else [{} for _ in range(min(count - len(rows), batch.num_rows))]
            if len(rows) >= count:
                break
        if not rows:
            raise BeamfleetError("the examples have no rows to ask the server about; ingest some")
        columns = [self._values(tensor, rows) for tensor in self._inputs.tensors()]
        names = [tensor["name"] for tensor in self._inputs.tensors()]
        words = [f"request {number}" for number in range(len(rows))]
        return Sample(pa.table(columns, names=names), words)

    def request(self, row: pa.Table) -> dict[str, Any]:
        inputs = [
            {**tensor, "shape": [1], "data": row.column(tensor["name"]).to_pylist()}
            for tensor in self._inputs.tensors()
        ]
        # The malformed requests spoil the last one as no flag can be spoilt.
        inputs.sort(key=lambda tensor: tensor["datatype"] != "BOOL")
        return {"inputs": inputs, "parameters": {REQUEST_TIME: self._now.isoformat()}}

    def predict(self, row: pa.Table) -> Prediction:
        inputs = [_as_sent(tensor) for tensor in self.request(row)["inputs"]]
        try:
            vectors = self._inputs.read(inputs, 1, self._now)
        except RequestError as error:
            raise BeamfleetError(str(error)) from error
        return super().predict(self._inputs.table(vectors))

    def malformed(self, good: Mapping[str, Any]) -> list[Malformed]:
        return malformed_requests(good, ServableEntityModels.max_body_bytes, needs_first=False)

    def _values(self, tensor: Mapping[str, Any], rows: list[dict[str, Any]]) -> pa.Array:
        """A column of the request as the Examples have it; keys that nobody has.

        Null where the Examples have what became of it, such as the number of a word.
        """
        name, datatype = tensor["name"], tensor["datatype"]
        kind = _KINDS[datatype]
        found = [row.get(name) for row in rows]
        if name in self._inputs.service.keys:
            nobody = (-(2**52) - i if kind is int else f"no such {name} {i}" for i in count())
            pairs = zip(found, nobody, strict=False)
            return pa.array([one if isinstance(one, kind) else other for one, other in pairs])
        of_time = self._inputs.service.request[name] is datetime
        fits = [None if of_time or not isinstance(value, kind) else value for value in found]
        return pa.array(fits)


_KINDS: Mapping[str, type] = {"BYTES": str, "INT64": int, "FP64": float, "BOOL": bool}


def _as_sent(tensor: Mapping[str, Any]) -> Tensor:
    from kserve import InferInput

    sent: Tensor = InferInput(tensor["name"], tensor["shape"], tensor["datatype"], tensor["data"])
    return sent
