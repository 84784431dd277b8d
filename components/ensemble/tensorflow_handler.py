"""Keras models and SavedModels as stages, without TensorFlow Hub.

Beam's handlers for TensorFlow are stages too, but import TensorFlow Hub, whose version that TFX
takes cannot be imported beside TensorFlow 2.21.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.ensemble.rows import rows_of
from components.errors import BeamfleetError

Example = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
"""An array, or arrays by the name of the model's input."""


class TensorFlowHandler(ModelHandler[Example, PredictionResult, Any]):
    """Predicts arrays of one shape; a batch is one call.

    What comes out is the example's row of the output, or a dict with its rows of all outputs.

    Example:
        Stage("label", TensorFlowHandler("models/label.keras"), inputs="features")
    """

    def __init__(self, model: str, signature: str = "serving_default", **batching: Any) -> None:
        """Names a local model that is trusted: its graph may read and write files.

        Args:
          model: `.keras` file, or folder of a SavedModel.
          signature: of the SavedModel.
          batching: as in Beam's ModelHandler, `max_batch_size` for one.
        """
        super().__init__(**batching)
        self._model, self._signature = model, signature

    def load_model(self) -> Any:
        """Reads the model.

        Raises:
          BeamfleetError: there is none.
        """
        path = Path(self._model)
        if path.suffix == ".keras" and path.is_file():
            import keras

            return keras.saving.load_model(path, compile=False, safe_mode=True)
        if not (path / "saved_model.pb").is_file():
            raise BeamfleetError(f"{path} is neither a .keras file nor the folder of a SavedModel")
        import tensorflow as tf

        return tf.saved_model.load(str(path))

    def run_inference(
        self,
        batch: Sequence[Example],
        model: Any,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """Gives one result an example, as NumPy arrays.

        Raises:
          RowsError: an output has no row for each example.
        """
        output = self._function(model)(_stacked(batch), **(inference_args or {}))
        found = rows_of(_as_numpy(output), len(batch))
        return [PredictionResult(x, y, self._model) for x, y in zip(batch, found, strict=True)]

    def get_metrics_namespace(self) -> str:
        return "beamfleet_tensorflow"

    def _function(self, model: Any) -> Callable[..., Any]:
        if not hasattr(model, "signatures"):
            return model  # type: ignore[no-any-return]
        if self._signature not in model.signatures:
            there = ", ".join(model.signatures) or "none"
            raise BeamfleetError(f"{self._model} has no signature {self._signature}, but: {there}")
        signature = model.signatures[self._signature]
        specs = signature.structured_input_signature[1]

        def call(inputs: Any, **arguments: Any) -> Any:
            import tensorflow as tf

            given = inputs if isinstance(inputs, dict) else {next(iter(specs)): inputs}
            tensors = {name: tf.constant(x, specs[name].dtype) for name, x in given.items()}
            return signature(**tensors, **arguments)

        return call


def _stacked(batch: Sequence[Any]) -> Any:
    if isinstance(batch[0], Mapping):
        return {name: np.stack([example[name] for example in batch]) for name in batch[0]}
    return np.stack(batch)


def _as_numpy(output: Any) -> Any:
    if isinstance(output, Mapping):
        return {name: _as_numpy(value) for name, value in output.items()}
    if isinstance(output, list | tuple):
        return type(output)(map(_as_numpy, output))
    return output.numpy() if hasattr(output, "numpy") else output
