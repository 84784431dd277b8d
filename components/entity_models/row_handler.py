"""Entity models as a stage of an ensemble: a row in, its prediction out."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.entity_models.key import typed_entity
from components.entity_models.predict import predict
from components.entity_models.spec import ModelSpec
from components.entity_models.store import EntityModels
from components.errors import BeamfleetError

Row = Mapping[str, Any]
"""Column -> value, None where it is missing; more columns than the models need are allowed."""
_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64()}


class EntityRowHandler(ModelHandler[Row, PredictionResult, EntityModels]):
    """Predicts each row with the model of its entity; a batch is one table, see `predict`.

    A prediction is a dict: entity, prediction, probabilities (class -> share; None for regression
    and for models without them) and fallback (whether the entity has no model of its own).

    Example:
        columns = ("education", "age")
        Stage("income", EntityRowHandler("/pushed/census/3"), inputs={c: c for c in columns})
    """

    def __init__(self, uri: str, batch_size: int = 1000) -> None:
        """Takes the folder of a store, and how many rows are predicted in one call."""
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._uri = uri

    def load_model(self) -> EntityModels:
        return EntityModels(self._uri)

    def run_inference(
        self,
        batch: Sequence[Row],
        model: EntityModels,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """Gives one result a row.

        Raises:
          BeamfleetError: a row has no prediction, or it lacks a column; a smaller batch may do.
        """
        found = predict(model, _to_table(batch, model.spec)).to_pylist()
        if errors := [row["error"] for row in found if row["error"] is not None]:
            raise BeamfleetError(errors[0])
        predictions = (_prediction(row, model.spec) for row in found)
        return [PredictionResult(*pair, self._uri) for pair in zip(batch, predictions, strict=True)]

    def get_metrics_namespace(self) -> str:
        return "beamfleet_entity_models"


def _to_table(rows: Sequence[Row], spec: ModelSpec) -> pa.Table:
    columns = {name: _column(rows, name, _TYPES[kind]) for name, kind in spec.features}
    for name, kind in spec.entities:
        columns[name] = typed_entity(_column(rows, name, None), name, kind)
    return pa.table(columns)


def _column(rows: Sequence[Row], name: str, kind: pa.DataType | None) -> pa.Array:
    if not all(name in row for row in rows):
        raise BeamfleetError(f"the row has no {name!r}; give None for a missing value")
    try:
        return pa.array([row[name] for row in rows], kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise BeamfleetError(f"column {name!r} has a value that does not fit: {error}") from error


def _prediction(row: Mapping[str, Any], spec: ModelSpec) -> dict[str, Any]:
    shares = row["probabilities"]
    return {
        "entity": row["entity"],
        "prediction": row["prediction"],
        "probabilities": shares and dict(zip(spec.classes, shares, strict=True)),
        "fallback": row["fallback"],
    }
