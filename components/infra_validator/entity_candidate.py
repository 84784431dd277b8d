"""Entity models, outside the server."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from components.entity_models.key import entity_keys
from components.entity_models.open import open_models
from components.entity_models.predict import predict
from components.infra_validator.candidate import Prediction, Sample
from components.infra_validator.malformed import Malformed, malformed_requests
from components.infra_validator.sample import sample_rows
from components.model_server.entities import ServableEntityModels
from components.model_server.entity_tensors import to_request


class EntityCandidate:
    """Every model of a store.

    Raises:
      BeamfleetError: it is damaged.
    """

    noun = "entities"
    tolerance = 1e-6

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._models = open_models(uri)
        self._models.check()

    def sample(self, batches: Iterable[pa.RecordBatch], count: int) -> Sample:
        rows, unseen = sample_rows(batches, self._models, count)
        columns = self._models.spec.entity_columns
        if not columns:
            return Sample(rows, [f"row {number}" for number in range(rows.num_rows)])
        keys = entity_keys(rows, columns).to_pylist()
        return Sample(rows, [f"entity {key!r}" for key in keys], {"unseen": unseen})

    def request(self, row: pa.Table) -> dict[str, Any]:
        return to_request(row, self._models.spec)

    def predict(self, row: pa.Table) -> Prediction:
        result, classes = predict(self._models, row), self._models.spec.classes
        names = ("prediction", "fallback")
        outputs = {name: result.column(name).to_pylist() for name in names}
        if classes:
            [probabilities] = result.column("probabilities").to_pylist()
            outputs["probabilities"] = probabilities or [None] * len(classes)
        return Prediction(outputs, result.column("error")[0].as_py())

    def read(self, outputs: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        return dict(outputs)

    def malformed(self, good: Mapping[str, Any]) -> list[Malformed]:
        # A feature may be missing; an entity key, which comes first where there is one, may not.
        has_entity = bool(self._models.spec.entity_columns)
        limit = ServableEntityModels.max_body_bytes
        return malformed_requests(good, limit, needs_first=has_entity)
