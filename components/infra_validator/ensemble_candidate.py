"""An ensemble, outside the server."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.ensemble.record import Record
from components.errors import BeamfleetError
from components.infra_validator.candidate import Prediction, Sample
from components.infra_validator.hostile_images import hostile_images, image_file, with_image
from components.infra_validator.malformed import Malformed, malformed_requests
from components.model_server.ensemble_tensors import document, to_request, with_pixels
from components.model_server.ensembles import ServableEnsemble
from components.model_server.requests import IMAGE

_NAME = "image_uri"


class EnsembleCandidate:
    """All stages of an ensemble, loaded.

    Raises:
      BeamfleetError: it is damaged, or a stage cannot load its model.
    """

    noun = "examples"
    tolerance = 1e-4

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._models = ServableEnsemble(uri)
        self._models.load()

    def sample(self, batches: Iterable[pa.RecordBatch], count: int) -> Sample:
        """The first rows that have all inputs."""
        rows = _first_rows(batches, self._models.inputs, count)
        if _NAME in rows.column_names:
            return Sample(rows, [f"image {uri!r}" for uri in rows.column(_NAME).to_pylist()])
        return Sample(rows, [f"row {number}" for number in range(rows.num_rows)])

    def request(self, row: pa.Table) -> dict[str, Any]:
        return to_request(row, self._models.inputs)

    def predict(self, row: pa.Table) -> Prediction:
        [values] = row.select(self._models.inputs).to_pylist()
        record = Record("row 0", values)
        if IMAGE in values:
            record = with_pixels(record, values[IMAGE])
        [record] = self._models.predict([record])
        if record.failure:
            return Prediction({}, f"{record.failure.stage}: {record.failure.reason}")
        stages = self._models.stages
        return Prediction(self.read({name: [document(name, record)] for name in stages}))

    def read(self, outputs: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        return {name: [json.loads(text) for text in texts] for name, texts in outputs.items()}

    def malformed(self, good: Mapping[str, Any]) -> list[Malformed]:
        limit = ServableEnsemble.max_body_bytes
        if IMAGE not in self._models.inputs:
            return malformed_requests(good, limit)
        # Small, so that too many rows of it are no body that is too large.
        small = with_image(good, image_file(1))
        return [*malformed_requests(small, limit), *hostile_images(good)]


def _first_rows(batches: Iterable[pa.RecordBatch], inputs: tuple[str, ...], count: int) -> pa.Table:
    kept: list[pa.RecordBatch] = []
    for batch in batches:
        if missing := [name for name in inputs if name not in batch.schema.names]:
            raise BeamfleetError(
                f"the examples lack {', '.join(missing)}, which the ensemble reads; they have "
                f"{', '.join(batch.schema.names)}"
            )
        names = dict.fromkeys((*inputs, *(n for n in batch.schema.names if n == _NAME)))
        batch = batch.select(list(names))
        for name in inputs:
            batch = batch.filter(pc.is_valid(batch.column(name)))
        kept.append(batch)
        if sum(one.num_rows for one in kept) >= count:
            break
    if not any(batch.num_rows for batch in kept):
        raise BeamfleetError(
            f"the examples have no rows with {', '.join(inputs)} to ask the server about; ingest "
            "some, or name another split"
        )
    return pa.Table.from_batches(kept).slice(0, count)
