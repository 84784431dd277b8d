"""SavedModels of known formula: what they predict is worked out by hand."""

from pathlib import Path
from typing import Any

import tensorflow as tf

RAW = {
    "miles": tf.io.VarLenFeature(tf.float32),
    "hour": tf.io.VarLenFeature(tf.int64),
    "company": tf.io.VarLenFeature(tf.string),
}


class Formula(tf.Module):
    """sigmoid(weight * miles + hour + 3 if the company is A); a missing value counts as 0."""

    def __init__(self, weight: float = 1.0, spec: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.weight = tf.Variable(weight)
        self._spec = spec or RAW
        examples = [tf.TensorSpec([None], tf.string, name="examples")]
        self.serve = tf.function(self._serve, input_signature=examples)

    def _logit(self, examples: tf.Tensor) -> tf.Tensor:
        columns = tf.io.parse_example(examples, self._spec)
        miles, hour = (_dense(columns[name], 0.0) for name in ("miles", "hour"))
        return (
            self.weight * miles
            + hour
            + 3.0 * tf.cast(_dense(columns["company"], "") == "A", "float")
        )

    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"predictions": tf.sigmoid(self._logit(examples))[:, None]}


class OfColumn(Formula):
    """sigmoid of one column of numbers; a missing value counts as 0."""

    def __init__(self, name: str) -> None:
        super().__init__(spec={name: tf.io.VarLenFeature(tf.float32)})
        self._name = name

    def _logit(self, examples: tf.Tensor) -> tf.Tensor:
        columns = tf.io.parse_example(examples, self._spec)
        return self.weight * _dense(columns[self._name], 0.0)


class Classes(Formula):
    """Three probabilities."""

    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        logit = self._logit(examples)
        return {"probabilities": tf.nn.softmax(tf.stack([-logit, tf.zeros_like(logit), logit], 1))}


class Logits(Formula):
    """Forgets the sigmoid."""

    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"predictions": self._logit(examples)[:, None]}


class Distance(Formula):
    """A number of its own, without a second dimension."""

    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"km": self._logit(examples)}


class Reading(Formula):
    """Reads a file of the machine that runs it."""

    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        secret = tf.strings.length(tf.io.read_file("/etc/hostname"))
        return {"predictions": tf.sigmoid(self._logit(examples) + tf.cast(secret, tf.float32))}


class Restoring(Formula):
    """Reads a checkpoint whenever it is asked."""

    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        [stolen] = tf.raw_ops.RestoreV2(
            prefix="/tmp/x", tensor_names=["y"], shape_and_slices=[""], dtypes=[tf.float32]
        )
        return {"predictions": tf.sigmoid(self._logit(examples) + stolen)}


class TwoOutputs(Formula):
    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"a": self._logit(examples), "b": self._logit(examples)}


class Unparsed(Formula):
    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"predictions": tf.cast(tf.strings.length(examples), tf.float32) * self.weight}


def save(folder: Path, model: Formula | None = None, signature: str = "serving_default") -> str:
    """Saves as a run_fn does."""
    model = model or Formula()
    tf.saved_model.save(model, str(folder), signatures={signature: model.serve})
    return str(folder)


def _dense(column: tf.SparseTensor, empty: Any) -> tf.Tensor:
    shaped = tf.SparseTensor(column.indices, column.values, [column.dense_shape[0], 1])
    dense = tf.squeeze(tf.sparse.to_dense(shaped, tf.cast(empty, column.dtype)), 1)
    return dense if dense.dtype == tf.string else tf.cast(dense, tf.float32)
