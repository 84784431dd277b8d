"""Requests for models that were trained with a feature service: keys in, features looked up.

A request has one input for each key of the service's entities and each of its request columns.
Times are BYTES such as "2024-05-01T12:30:00Z". `parameters.request_time`, such a time, is when the
request is made; without it, it is now. The service's labels may have an id (`Source(id=...)`): an
input of that name, BYTES, is taken too, and is the request's id of each row in the log, by which
labels find the rows of a batch.

The online store is that of the feature store that the model names, or the one whose URI is in the
environment variable BEAMFLEET_ONLINE_STORE, which keeps a password out of files and process lists.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError
from components.feature_vectors import FeatureVectors, RowError, Vectors
from components.feature_vectors.plain import plain_table
from components.feature_vectors.rows import columns_of, frame_of_columns
from components.feature_vectors.trained_with import trained_with
from components.features.names import FeatureType
from components.model_server.metrics import ABSENT, LOOKED_UP
from components.model_server.requests import (
    FLOATING,
    WHOLE,
    RequestError,
    Tensor,
    by_name,
    row_count,
    values,
)
from components.online_store import online_store_of

LOG = logging.getLogger("beamfleet.server")
_DATATYPES: Mapping[FeatureType, tuple[str, ...]] = {
    str: ("BYTES",), int: WHOLE, float: (*FLOATING, *WHOLE), bool: ("BOOL",), datetime: ("BYTES",),
}  # fmt: skip
_SAID = {str: "BYTES", int: "INT64", float: "FP64", bool: "BOOL", datetime: "BYTES"}


class FeatureInputs:
    """Makes what a model takes of what a client sends."""

    def __init__(self, spec: ModelSpec) -> None:
        """Finds the service and its online store.

        Raises:
          BeamfleetError: the service is not the one that the model was trained with, or it does not
            have the model's columns.
        """
        trained = trained_with(spec.service)
        self.service, self.store = trained.declared(), trained.store
        self.vectors = FeatureVectors(self.service, online_store_of(self.store), trained.fitted)
        self._columns = columns_of(self.service)
        labels = self.service.labels
        self._id = labels.id if labels and labels.id not in self._columns else None
        self._wanted = [*spec.entity_columns, *(name for name, _ in spec.features)]
        given = {*self.service.request, *self.service.features}
        if missing := [name for name in self._wanted if name not in given]:
            raise BeamfleetError(
                f"the model takes {', '.join(missing)}, which feature service "
                f"{self.service.name!r} does not have; it has {', '.join(sorted(given))}"
            )

    def check(self) -> str:
        """Asks the online store about each view.

        Returns:
          Of which views it has no row at all; "" if it has some of each.

        Raises:
          BeamfleetError: it cannot be reached, or has a view with another schema.
        """
        self.vectors.check()
        empty, views = self.vectors.empty_views(), len({one.view for one in self.service.needed})
        if not empty:
            return ""
        return (
            f"{len(empty)} of {views} views of service {self.service.name!r} have no row in the "
            f"online store, their features are null: {', '.join(empty)}"
        )

    def tensors(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of what a request needs."""
        kinds = self._columns.items()
        return [{"name": n, "datatype": _SAID[kind], "shape": [-1]} for n, kind in kinds]

    def read(self, inputs: Sequence[Tensor], max_rows: int, now: datetime | None) -> Vectors:
        """The vectors of a request.

        Raises:
          RequestError: 400 for columns, shapes or types that the service does not take, 413 for too
            many rows, 503 where the online store does not answer.
        """
        given = by_name([one for one in inputs if one.name != self._id], self._columns)
        rows = row_count(given.values(), max_rows)
        columns = {n: values(given[n], _DATATYPES[k], rows) for n, k in self._columns.items()}
        try:
            frame = frame_of_columns(self.service, columns)
            found = self.vectors.read(frame, now or datetime.now(UTC))
        except RowError as error:
            raise RequestError(400, str(error)) from None
        except BeamfleetError as error:
            LOG.error("features cannot be looked up: %s", error)
            raise RequestError(503, "features cannot be looked up; the log says why") from error
        if now:
            _count(found.valid_from)
        return found

    def row_ids(self, inputs: Sequence[Tensor], max_rows: int) -> list[str | None]:
        """The id that the label of each row will have; [] where the request does not say.

        Raises:
          RequestError: 400, as for `read`.
        """
        given = [one for one in inputs if one.name == self._id]
        if not given:
            return []
        by_name(given, [given[0].name])
        rows = row_count([given[0], *(one for one in inputs if one.name != self._id)], max_rows)
        return values(given[0], ("BYTES",), rows)

    def table(self, vectors: Vectors) -> pa.Table:
        """The columns that the models read."""
        return plain_table(vectors.inputs.select(self._wanted))


def _count(valid_from: pl.DataFrame) -> None:
    for view in valid_from.get_columns():
        LOOKED_UP.labels(view=view.name).inc(len(view))
        ABSENT.labels(view=view.name).inc(view.null_count())
