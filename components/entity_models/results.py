"""Predictions of a table while they are filled in, group by group."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError

_MOST_PROBABLE = frozenset(
    {f"sklearn.tree._classes.{name}TreeClassifier" for name in ("Decision", "Extra")}
    | {f"sklearn.ensemble._forest.{name}Classifier" for name in ("RandomForest", "ExtraTrees")}
    | {"lightgbm.sklearn.LGBMClassifier", "components.entity_models.prepared.PreparedModel"}
    | {"components.saved_model.model.LoadedModel"}
)
RESULT_COLUMNS = ("entity", "prediction", "probabilities", "fallback", "error")


class Results:
    """Columns of (rows,) predictions; a row has a prediction or an error."""

    def __init__(self, spec: ModelSpec, rows: int) -> None:
        self.spec = spec
        self.positions = {value: i for i, value in enumerate(spec.classes)}
        self.codes = np.full(rows, -1, dtype=np.int64)
        self.values = np.full(rows, np.nan)
        self.probabilities = np.zeros((rows, len(spec.classes)))
        self.has_probabilities = np.zeros(rows, dtype=bool)
        self.fallback = np.zeros(rows, dtype=bool)
        self.errors = np.full(rows, None, dtype=object)

    def fail(self, rows: np.ndarray[Any, Any], reason: str) -> None:
        """Gives rows an error instead of a prediction."""
        self.errors[rows] = reason
        self.has_probabilities[rows] = False

    def table(self, entities: pa.Array) -> pa.Table:
        """Gives the result columns.

        Raises:
          RuntimeError: a row has neither prediction nor error.
        """
        failed = np.array(self.errors != None, dtype=bool)  # noqa: E711  (elementwise)
        if self.spec.task == "regression":
            done = np.isfinite(self.values)
            prediction = pa.array(self.values, pa.float64(), mask=failed)
        else:
            done = self.codes >= 0
            prediction = pa.array(self.spec.classes).take(pa.array(self.codes, mask=failed))
        if not (done | failed).all():
            raise RuntimeError("rows without prediction and without error")
        return pa.table(
            [
                entities,
                prediction,
                self._probability_lists(),
                pa.array(self.fallback),
                pa.array(self.errors, pa.string()),
            ],
            names=list(RESULT_COLUMNS),
        )

    def _probability_lists(self) -> pa.Array:
        kept = self.has_probabilities
        offsets = np.concatenate([[0], np.cumsum(kept * len(self.spec.classes))])
        # A null offset makes the list at this place null.
        masked = pa.array(offsets, pa.int32(), mask=np.append(~kept, False))
        flat = self.probabilities[kept].reshape(-1)
        return pa.ListArray.from_arrays(masked, pa.array(flat, pa.float64()))


def predict_group(
    results: Results, model: Any, features: pd.DataFrame, rows: np.ndarray[Any, Any]
) -> None:
    """Predicts rows of one model; halves a failing group until the bad rows are alone.

    Args:
      results: gets predictions and errors.
      model: fitted model.
      features: (n, features).
      rows: (n,) the places of these rows in `results`.
    """
    try:
        if results.spec.task == "regression":
            _regress(results, model, features, rows)
        else:
            _classify(results, model, features, rows)
    except Exception as error:  # models are the user's: anything may come out of them
        if len(rows) == 1:
            results.fail(rows, f"{type(error).__name__}: {error}")
            return
        half = len(rows) // 2
        predict_group(results, model, features.iloc[:half], rows[:half])
        predict_group(results, model, features.iloc[half:], rows[half:])


def _regress(
    results: Results, model: Any, features: pd.DataFrame, rows: np.ndarray[Any, Any]
) -> None:
    values = np.asarray(model.predict(features), dtype=np.float64).reshape(-1)
    _check_length(values, rows)
    results.values[rows] = values
    finite = np.isfinite(values)
    if not finite.all():
        results.fail(rows[~finite], "the prediction is not finite")


def _classify(
    results: Results, model: Any, features: pd.DataFrame, rows: np.ndarray[Any, Any]
) -> None:
    known = _class_positions(results, getattr(model, "classes_", results.spec.classes))
    if not hasattr(model, "predict_proba"):
        results.codes[rows] = _codes_of(results, model.predict(features), rows)
        return
    scores = np.asarray(model.predict_proba(features), dtype=np.float64)
    _check_length(scores, rows)
    if scores.shape != (len(rows), len(known)):
        raise BeamfleetError(f"probabilities of shape {scores.shape} for {len(known)} classes")
    if _predicts_most_probable(model):
        results.codes[rows] = known[scores.argmax(axis=1)]
    else:
        results.codes[rows] = _codes_of(results, model.predict(features), rows)
    results.probabilities[np.ix_(rows, known)] = scores
    results.has_probabilities[rows] = True
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        results.fail(rows[~finite], "the probabilities are not finite")


def _predicts_most_probable(model: Any) -> bool:
    """Whether `predict` is by definition the argmax of `predict_proba`: one call does for both."""
    while hasattr(model, "steps"):
        model = model.steps[-1][1]
    return f"{type(model).__module__}.{type(model).__qualname__}" in _MOST_PROBABLE


def _class_positions(results: Results, classes: Any) -> np.ndarray[Any, Any]:
    """(n,) where the classes of a model lie in `spec.classes`."""
    names = np.asarray(classes).tolist()
    unknown = [name for name in names if name not in results.positions]
    if unknown:
        raise BeamfleetError(
            f"the model knows classes {unknown} that the store does not: {results.spec.classes}"
        )
    return np.array([results.positions[name] for name in names], dtype=np.int64)


def _codes_of(results: Results, labels: Any, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    labels = np.asarray(labels).reshape(-1)
    _check_length(labels, rows)
    distinct, inverse = np.unique(labels, return_inverse=True)
    return _class_positions(results, distinct)[inverse]


def _check_length(values: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> None:
    if len(values) != len(rows):
        raise BeamfleetError(f"the model gave {len(values)} predictions for {len(rows)} rows")
