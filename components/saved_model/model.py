"""A loaded SavedModel, with the methods of a scikit-learn model."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError
from components.saved_model.layout import SIGNATURE

Floats = npt.NDArray[np.float64]

_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float32()}
_ROUNDING = 1e-3
"""Of probabilities in 32 bits or fewer."""
_BATCH_ROWS = 8_192
"""Rows that TensorFlow is given at a time, which bounds its memory."""


class LoadedModel:
    """Predicts frames of raw columns: the preprocessing is inside."""

    def __init__(self, folder: str, spec: ModelSpec, output: str) -> None:
        """Loads the graph and its variables from a local folder or one that TensorFlow reads.

        Args:
          folder: Of the SavedModel.
          spec: What it takes and gives.
          output: Name of the output that is the prediction.
        """
        self._spec, self._output = spec, output
        self._loaded = tf.saved_model.load(folder)  # kept: its variables go when it goes
        self._signature = self._loaded.signatures[SIGNATURE]
        [self._input] = self._signature.structured_input_signature[1]
        self._encoder = RecordBatchToExamplesEncoder()

    @property
    def classes_(self) -> tuple[Any, ...]:
        """In the order of the probabilities."""
        return self._spec.classes

    def predict_proba(self, frame: pd.DataFrame) -> Floats:
        """(rows, classes) probabilities.

        Raises:
          BeamfleetError: the graph gives something else, such as logits.
        """
        scores = self._run(frame)
        if scores.shape[1] == 1:
            scores = np.hstack([1 - scores, scores])
        _check_probabilities(scores)
        return scores

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[Any]:
        """(rows,) the likeliest class, or the number."""
        if self._spec.task == "regression":
            return self._run(frame)[:, 0]
        return np.asarray(np.asarray(self._spec.classes)[self.predict_proba(frame).argmax(axis=1)])

    def _run(self, frame: pd.DataFrame) -> Floats:
        """(rows, width) what the graph gives."""
        serialized = self._encoder.encode(self._to_batch(frame))
        parts = [
            self._signature(**{self._input: tf.constant(serialized[start : start + _BATCH_ROWS])})
            for start in range(0, len(serialized), _BATCH_ROWS)
        ]
        values = np.concatenate([part[self._output].numpy() for part in parts])
        return np.asarray(values, dtype=np.float64).reshape(len(frame), -1)

    def _to_batch(self, frame: pd.DataFrame) -> pa.RecordBatch:
        """List columns of at most one value; a missing value is an empty list."""
        arrays = [
            _lists(pa.array(frame[name], from_pandas=True).cast(_TYPES[kind]))
            for name, kind in self._spec.features
        ]
        return pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in self._spec.features])


def _check_probabilities(scores: Floats) -> None:
    """NaN is left to those who predict: it makes a row fail by itself."""
    known = scores[np.isfinite(scores).all(axis=1)]
    sums = known.sum(axis=1)
    if (known < -_ROUNDING).any() or (np.abs(sums - 1) > _ROUNDING).any():
        raise BeamfleetError(
            "the model gives numbers that are no probabilities (0 to 1, 1 together), perhaps "
            "logits; let it end with a sigmoid or a softmax"
        )


def _lists(values: pa.Array) -> pa.Array:
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int32)
    if pa.types.is_string(values.type):
        values = values.cast(pa.binary())
    return pa.ListArray.from_arrays(offsets, values.drop_null())
