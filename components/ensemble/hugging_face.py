"""Models and pipelines of Hugging Face as stages.

Beam 2.77 has handlers for them that cannot be imported beside transformers 5, which left
TensorFlow. These load safetensors from a local folder, and nothing that holds code.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.ensemble.pretrained import load_silently
from components.ensemble.rows import rows_of
from components.ensemble.whole import load_whole
from components.errors import BeamfleetError
from components.native import shield_triton

if TYPE_CHECKING:
    from transformers import Pipeline, PreTrainedModel

_SAFE = {"model_kwargs": {"use_safetensors": True}, "trust_remote_code": False}


class PipelineHandler(ModelHandler[Any, PredictionResult, "Pipeline"]):
    """A pipeline of transformers: whatever it takes as one input is an example, also our images.

    Example:
        Stage("mood", PipelineHandler("text-classification", "models/mood"), inputs="text")
    """

    def __init__(
        self, task: str, model: str, options: Mapping[str, Any] | None = None, **batching: Any
    ) -> None:
        """Names task and model; nothing is loaded yet.

        Args:
          task: as in `transformers.pipeline`.
          model: folder of model and tokenizer or processor.
          options: more arguments of `transformers.pipeline`, `device` for one; its default is the
            GPU if there is one.
          batching: as in Beam's ModelHandler, `max_batch_size` for one.
        """
        super().__init__(**batching)
        self._task, self._model, self._options = task, model, dict(options or {})

    def load_model(self) -> "Pipeline":
        """Reads the folder.

        Raises:
          BeamfleetError: it is none, or lacks weights.
        """
        shield_triton()
        load_silently()
        from transformers import pipeline

        made = pipeline(self._task, _folder(self._model), **{**self._options, **_SAFE})
        load_whole(type(made.model), self._model)  # once more: a pipeline does not tell what lacks
        return made

    def run_inference(
        self,
        batch: Sequence[Any],
        model: "Pipeline",
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """Gives what the pipeline gives for each example; a batch is one pass.

        Raises:
          RowsError: the pipeline gives more or fewer.
        """
        inputs = list(map(_as_input, batch))
        found = model(inputs, **{"batch_size": len(inputs), **(inference_args or {})})
        return _results(batch, found, self._model)

    def get_metrics_namespace(self) -> str:
        return "beamfleet_pipeline"


class PretrainedHandler(ModelHandler[Mapping[str, Any], PredictionResult, "PreTrainedModel"]):
    """A model of transformers on arrays by name; each example gets its rows of all outputs.

    Arrays of one name must have one shape. Outputs within outputs are cut as well; where one has no
    row for each example (hidden states of all layers) it is an error.

    Example:
        Stage(
            "features",
            PretrainedHandler("CLIPVisionModel", "models/clip"),
            inputs={"pixel_values": "pixels"},
        )
    """

    def __init__(self, model_class: str, model: str, **batching: Any) -> None:
        """Names class and model; nothing is loaded yet.

        Args:
          model_class: in `transformers`, AutoModel for one.
          model: folder.
          batching: as in Beam's ModelHandler, `max_batch_size` for one.
        """
        super().__init__(**batching)
        self._class, self._model = model_class, model

    def load_model(self) -> "PreTrainedModel":
        """Reads the folder.

        Raises:
          BeamfleetError: it is none.
        """
        shield_triton()
        import torch
        import transformers

        load_silently()
        loaded = load_whole(getattr(transformers, self._class), _folder(self._model))
        return loaded.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def run_inference(
        self,
        batch: Sequence[Mapping[str, Any]],
        model: "PreTrainedModel",
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """(...) arrays or tensors by name -> dicts of (...) tensors on the CPU.

        Raises:
          RowsError: an output has no row for each example.
        """
        import torch

        def stacked(name: str) -> torch.Tensor:
            rows = [torch.as_tensor(example[name]) for example in batch]
            return torch.stack(rows).to(model.device)

        with torch.inference_mode():
            output = model(**{name: stacked(name) for name in batch[0]}, **(inference_args or {}))
        return _results(batch, _on_cpu(output), self._model)

    def get_metrics_namespace(self) -> str:
        return "beamfleet_pretrained"


def _folder(model: str) -> str:
    if not Path(model).is_dir():  # or it would be looked for on the hub
        raise BeamfleetError(f"{model} is no folder; give one with the model's files")
    return model


def _as_input(example: Any) -> Any:
    if isinstance(example, np.ndarray) and example.ndim == 3:
        from PIL import Image

        return Image.fromarray(example)
    return example


def _results(batch: Sequence[Any], output: Any, model: str) -> list[PredictionResult]:
    found = rows_of(output, len(batch))
    return [PredictionResult(x, y, model) for x, y in zip(batch, found, strict=True)]


def _on_cpu(output: Any) -> Any:
    if isinstance(output, Mapping):
        return {name: _on_cpu(value) for name, value in output.items()}
    return output.cpu() if hasattr(output, "cpu") else output
