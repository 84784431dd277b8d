"""Entity models that were trained with a feature service, as the server serves them."""

import atexit
import functools
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from components.entity_models.key import entity_keys
from components.entity_models.predict import predict
from components.feature_vectors import Vectors
from components.features.service import FeatureService
from components.model_server.entities import ServableEntityModels, count_rows
from components.model_server.entity_tensors import to_outputs
from components.model_server.feature_inputs import FeatureInputs
from components.model_server.requests import Tensor, check_rows
from components.model_server.servable import Limits
from components.served_log import ServedLog

LOG = logging.getLogger("beamfleet.server")


class ServableWithFeatures(ServableEntityModels):
    """Looks up what the models read besides the columns of the request, then predicts.

    Raises:
      BeamfleetError: the store of models is not whole, or its feature service is not the one that
        they were trained with.
    """

    def __init__(self, uri: str, cache_bytes: int) -> None:
        super().__init__(uri, cache_bytes)
        self._inputs = FeatureInputs(self.models.spec)
        self._log: ServedLog | None = None

    def keys(self, inputs: Sequence[Tensor], max_rows: int) -> list[str | None]:
        vectors = self._inputs.read(inputs, max_rows, None)
        found = entity_keys(self._inputs.table(vectors), self.models.spec.entity_columns)
        return list(found.to_pylist())

    def load(self) -> None:
        super().load()
        self.warning = self._inputs.check()
        if self.warning:
            LOG.warning("%s", self.warning)

    def log_answers(self) -> None:
        self._log = _log_of(self._inputs.store, self._inputs.service)

    def input_tensors(self) -> list[dict[str, Any]]:
        return self._inputs.tensors()

    def answer(
        self, inputs: Sequence[Tensor], outputs: Sequence[str], limits: Limits
    ) -> list[dict[str, Any]]:
        now = limits.now or datetime.now(UTC)
        ids = self._inputs.row_ids(inputs, limits.max_rows)
        vectors = self._inputs.read(inputs, limits.max_rows, now)
        result = predict(self.models, self._inputs.table(vectors))
        check_rows(result.column("error").to_pylist())
        count_rows(result)
        if self._log and limits.request_id:
            logged = self._logged(vectors, result, limits, now)
            if ids:
                own = pl.Series("request_id", ids, pl.String)
                logged = logged.with_columns(own.fill_null(limits.request_id))
            self._log.append(logged)
        return [t for t in to_outputs(result, self.models.spec) if t["name"] in outputs]

    def _logged(
        self, vectors: Vectors, result: pa.Table, limits: Limits, now: datetime
    ) -> pl.DataFrame:
        """The rows of the log; see `components.served_log.columns`."""
        service = self._inputs.service
        kinds = dict.fromkeys(service.request, "request") | dict.fromkeys(service.keys, "key")
        named = {n: f"{kinds.get(n, 'feature')}.{n}" for n in vectors.values.columns}
        views = {name: f"valid_from.{name}" for name in vectors.valid_from.columns}
        predicted = pl.Series(result.column("prediction").to_pylist())
        return pl.DataFrame(
            [
                predicted.cast(pl.String).alias("prediction"),
                pl.Series("entity", result.column("entity").to_pylist(), pl.String),
                pl.Series("score", self._scores(result, predicted), pl.Float64),
                *vectors.values.rename(named),
                *vectors.valid_from.rename(views),
            ]
        ).with_columns(
            pl.lit(limits.request_id).alias("request_id"),
            pl.lit(now).alias("time"),
            pl.lit(limits.version).alias("model_version"),
        )

    def _scores(self, result: pa.Table, predicted: pl.Series) -> list[float | None]:
        """Probability of the second of two classes, or the value; of more classes there is none."""
        if self.models.spec.task == "regression":
            return predicted.to_list()
        lists = result.column("probabilities").to_pylist()
        two = len(self.models.spec.classes) == 2
        return [row[1] if row and two else None for row in lists]


@functools.cache
def _log_of(root: str, service: FeatureService) -> ServedLog:
    """One for all versions of the model that a server process opens."""
    log = ServedLog(root, service)
    atexit.register(log.close)
    return log
