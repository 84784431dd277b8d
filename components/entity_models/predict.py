"""Predicts a table whose rows belong to many entities."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from components.entity_models.frame import to_frame
from components.entity_models.key import entity_keys
from components.entity_models.open import Models
from components.entity_models.results import Results, predict_group

_FALLBACK = "fallback"


def predict(models: Models, table: pa.Table, *, only: str | None = None) -> pa.Table:
    """Predicts each row with the model of its entity, in one call an entity.

    Args:
      models: the opened store.
      table: feature and entity columns, more are allowed.
      only: "fallback" has the fallback predict every row.

    Returns:
      One row for each row of `table`, in its order: entity (string), prediction (class or double),
      probabilities (list<double> aligned to `spec.classes`; null for regression and for models
      without them), fallback (bool), error (string, null if fine).

    Raises:
      BeamfleetError: a column is missing or has the wrong type, or the store was changed.
    """
    if only not in (None, _FALLBACK):
        raise ValueError(f"only must be None or {_FALLBACK!r}, got {only!r}")
    keys = entity_keys(table, models.spec.entity_columns)
    results = Results(models.spec, table.num_rows)
    order, groups = _groups(keys)
    # Sorted once: each entity is then a slice, which pandas makes without copying.
    frame = to_frame(table.take(order), models.spec)
    shared: list[np.ndarray[Any, Any]] = []
    for entity, start, stop in groups:
        if entity is None:
            results.fail(order[start:stop], "entity key missing")
            continue
        model = None if only else models.own(entity)
        if model is None:
            shared.append(np.arange(start, stop))
        else:
            predict_group(results, model, frame.iloc[start:stop], order[start:stop])
    if shared:
        _predict_fallback(models, results, frame, order, np.concatenate(shared))
    return results.table(keys)


def _groups(
    keys: pa.Array,
) -> tuple[np.ndarray[Any, Any], Iterator[tuple[str | None, int, int]]]:
    """Sorts row numbers by key; gives (key, start, stop) of each run, missing keys last."""
    encoded = keys.dictionary_encode()
    names = [*encoded.dictionary.to_pylist(), None]
    codes = encoded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    stops = np.cumsum(np.bincount(codes, minlength=len(names))).tolist()
    starts = [0, *stops[:-1]]
    runs = zip(names, starts, stops, strict=True)
    return order, ((name, start, stop) for name, start, stop in runs if stop > start)


def _predict_fallback(
    models: Models,
    results: Results,
    frame: pd.DataFrame,
    order: np.ndarray[Any, Any],
    places: np.ndarray[Any, Any],
) -> None:
    """Predicts all rows without a model of their own in one call."""
    rows = order[places]
    model = models.fallback()
    if model is None:
        results.fail(rows, "the entity has no model and the store no fallback")
        return
    results.fallback[rows] = True
    predict_group(results, model, frame.iloc[places], rows)
