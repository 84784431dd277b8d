"""CLIP as a stage: image and captions in, the captions ranked out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel, CLIPProcessor

from components.captioning.caption import Caption, ranked
from components.captioning.device import best_device, check_finite, pixel_values, placed
from components.ensemble.pretrained import load_silently, pretrained_config
from components.ensemble.whole import SAFE, check_tokenizer, load_whole
from components.errors import BeamfleetError
from components.images.decode import Pixels

Captioned = tuple[Pixels, Sequence[Caption]]


@dataclass
class LoadedClip:
    """Weights on a device, tokenizer and image processor."""

    model: CLIPModel
    processor: CLIPProcessor
    device: torch.device


class ClipRanker(ModelHandler[Captioned, PredictionResult, LoadedClip]):
    """Ranks the captions of an image by how well they fit it: a tuple of RankedCaption each.

    The probability is a softmax over the captions of the image. Images are looked at once, and all
    captions of a batch are read in one padded call.

    Example:
        Stage("rank", ClipRanker("models/clip"), inputs=("image", "caption"))

    Source: Radford et al. 2021, CLIP.
    """

    def __init__(self, model: str, batch_size: int = 32, version: str = "") -> None:
        """Names the model; nothing is loaded yet.

        Args:
          model: folder of a CLIPModel in safetensors, with its processor.
          batch_size: images of a pass.
          version: named in each result; the folder, if empty.
        """
        super().__init__()
        if batch_size < 1:
            raise BeamfleetError(f"batch_size must be at least 1, got {batch_size}")
        self._model, self._version, self._batch_size = model, version or model, batch_size

    def check_files(self) -> None:
        """Looks at the settings in the folder; loads nothing.

        Raises:
          BeamfleetError: it holds no CLIP.
        """
        pretrained_config(self._model, "CLIPModel")

    def load_model(self) -> LoadedClip:
        """Reads safetensors only, which hold no code; nothing is fetched.

        Raises:
          BeamfleetError: see `check_files`.
        """
        self.check_files()
        load_silently()
        device = best_device()
        model = load_whole(CLIPModel, self._model)
        check_finite(model.logit_scale.exp(), f"{self._model}: logit_scale of CLIP")
        processor = CLIPProcessor.from_pretrained(self._model, **SAFE)
        check_tokenizer(processor.tokenizer, model.config.text_config.vocab_size, self._model)
        return LoadedClip(placed(model, device), processor, device)

    @torch.inference_mode()
    def run_inference(
        self,
        batch: Sequence[Captioned],
        model: LoadedClip,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """Pairs of an image, (height, width, 3) uint8, and its captions -> tuples, best first.

        Raises:
          BeamfleetError: there is no caption, or one is longer than the model can read.
        """
        texts = list(dict.fromkeys(one.text for _, captions in batch for one in captions))
        if not all(captions for _, captions in batch):
            raise BeamfleetError("there is no caption to rank")
        images = _unit(_image_features([image for image, _ in batch], model))
        places = {text: place for place, text in enumerate(texts)}
        similarities = (images @ _unit(_text_features(texts, model)).T).double().cpu()
        check_finite(similarities, "CLIP")
        scale = model.model.logit_scale.exp().item()
        results = []
        for row, (image, captions) in zip(similarities, batch, strict=True):
            own = row[[places[one.text] for one in captions]]
            found = ranked(captions, own.tolist(), (own * scale).softmax(-1).tolist())
            results.append(PredictionResult(image, found, self._version))
        return results

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": self._batch_size, "max_batch_size": self._batch_size}

    def get_metrics_namespace(self) -> str:
        return "beamfleet_clip"


def _image_features(images: list[Pixels], model: LoadedClip) -> Tensor:
    """(n, d), not normalised."""
    pixels = pixel_values(images, model.processor.image_processor, model.model)
    seen = model.model.vision_model(pixels)
    features: Tensor = model.model.visual_projection(seen.pooler_output)
    return features


def _text_features(texts: list[str], model: LoadedClip) -> Tensor:
    """(n, d), not normalised."""
    rows = model.processor.tokenizer(texts, padding=True, return_tensors="pt")
    most = model.model.config.text_config.max_position_embeddings
    if (longest := rows.input_ids.shape[1]) > most:
        raise BeamfleetError(
            f"a caption has {longest} tokens, CLIP reads {most}; a lower max_length helps"
        )
    read = model.model.text_model(**rows.to(model.device))
    features: Tensor = model.model.text_projection(read.pooler_output)
    return features


def _unit(rows: Tensor) -> Tensor:
    return functional.normalize(rows.float(), dim=-1)
