"""Names the models of a bundle by what they are, wherever a copy of them lies."""

from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.ensemble.around import HandlerAround
from components.ensemble.predict import predict


class NamedHandler(HandlerAround):
    """Predicts with the inner handler; a result that is named by a folder gets the model's name."""

    def __init__(self, inner: ModelHandler[Any, Any, Any], names: Mapping[str, str]) -> None:
        """Takes a handler, and folder -> name of the model whose files lie there."""
        super().__init__(inner)
        self._names = dict(names)

    def run_inference(
        self,
        batch: Sequence[Any],
        model: Any,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """Gives one result an example.

        Raises:
          Exception: whatever the inner handler raises.
        """
        return [self._named(r) for r in predict(self._inner, batch, model, inference_args)]

    def _named(self, result: Any) -> Any:
        if not isinstance(result, PredictionResult) or not result.model_id:
            return result
        for folder, name in self._names.items():
            if f"{result.model_id}/".startswith(f"{folder}/"):
                return result._replace(model_id=name)
        return result
