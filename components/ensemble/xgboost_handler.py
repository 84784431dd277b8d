"""XGBoost as a stage, without the packages that Beam's handlers need."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.files import open_file

if TYPE_CHECKING:
    from xgboost import Booster

Features = npt.NDArray[np.float32]


class XGBoostHandler(ModelHandler[Features, PredictionResult, "Booster"]):
    """Predicts (features,) arrays; a batch is one call.

    What comes out is the booster's: the value, the probability of class 1, or that of each class.
    Beam's XGBoost handlers are stages too, but cannot be imported without `datatable`, which there
    is for no Python above 3.11, and call the model for each example.

    Example:
        Stage("price", XGBoostHandler("models/price.ubj"), inputs="features")
    """

    def __init__(self, model: str, **batching: Any) -> None:
        """Names a model that XGBoost saved as JSON or UBJSON, on any Beam filesystem.

        Args:
          model: path.
          batching: as in Beam's ModelHandler, `max_batch_size` for one.
        """
        super().__init__(**batching)
        self._model = model

    def load_model(self) -> "Booster":
        from xgboost import Booster

        with open_file(self._model) as file:
            return Booster(model_file=bytearray(file.read()))

    def run_inference(
        self,
        batch: Sequence[Features],
        model: "Booster",
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """Gives one result an array.

        Raises:
          ValueError: an array has another shape.
        """
        found = model.inplace_predict(np.stack(batch), **(inference_args or {}))
        return [PredictionResult(*pair, self._model) for pair in zip(batch, found, strict=True)]

    def get_num_bytes(self, batch: Sequence[Features]) -> int:
        return sum(features.nbytes for features in batch)

    def get_metrics_namespace(self) -> str:
        return "beamfleet_xgboost"
