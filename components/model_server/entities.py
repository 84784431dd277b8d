"""Entity models, or one SavedModel for all rows, as the server serves them."""

import importlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.entity_models.key import entity_keys
from components.entity_models.open import open_models
from components.entity_models.predict import predict
from components.imports import heavy_imports
from components.model_server import metrics
from components.model_server.entity_tensors import (
    input_tensors,
    output_tensors,
    to_outputs,
    to_table,
)
from components.model_server.requests import Tensor, check_rows
from components.model_server.servable import Limits

_PACKAGES = {
    "sklearn": ("sklearn.pipeline", "sklearn.compose", "sklearn.tree"),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "keras": ("keras",),
    "tensorflow": ("components.saved_model.model",),
}


class ServableEntityModels:
    """Predicts each row with the model of its entity. Each is loaded when it is first asked for.

    Raises:
      BeamfleetError: the store is not whole.
    """

    threads = 4
    max_body_bytes = 8 * 1024 * 1024
    predicted = "prediction"
    warning = ""

    def __init__(self, uri: str, cache_bytes: int) -> None:
        self.uri = uri
        self.models = open_models(uri, cache_bytes)

    @property
    def fingerprint(self) -> str:
        return self.models.fingerprint

    @property
    def has_entities(self) -> bool:
        return bool(self.models.spec.entity_columns)

    def keys(self, inputs: Sequence[Tensor], max_rows: int) -> list[str | None]:
        spec = self.models.spec
        found = entity_keys(to_table(inputs, spec, max_rows), spec.entity_columns).to_pylist()
        return list(found)

    def import_frameworks(self) -> None:
        with heavy_imports():
            for framework in set(self.models.frameworks) & set(_PACKAGES):
                for package in _PACKAGES[framework]:
                    importlib.import_module(package)

    def load(self) -> None:
        """Loads the model that answers for entities without one."""
        self.models.fallback()

    def check(self, damaged: str) -> None:
        self.models.check()
        self.models.own(damaged)

    def log_answers(self) -> None:
        """They read no features that a log could keep."""

    def input_tensors(self) -> list[dict[str, Any]]:
        return input_tensors(self.models.spec)

    def output_tensors(self) -> list[dict[str, Any]]:
        return output_tensors(self.models.spec)

    def answer(
        self, inputs: Sequence[Tensor], outputs: Sequence[str], limits: Limits
    ) -> list[dict[str, Any]]:
        result = predict(self.models, to_table(inputs, self.models.spec, limits.max_rows))
        check_rows(result.column("error").to_pylist())
        count_rows(result)
        return [t for t in to_outputs(result, self.models.spec) if t["name"] in outputs]


def count_rows(result: pa.Table) -> None:
    """Counts them for /metrics, by whether the fallback answered."""
    fallback = int(pc.sum(result.column("fallback")).as_py())
    metrics.ROWS.labels("true").inc(fallback)
    metrics.ROWS.labels("false").inc(result.num_rows - fallback)
