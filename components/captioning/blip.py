"""BLIP as a stage: image in, captions out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from transformers import BlipForConditionalGeneration, BlipProcessor

from components.captioning.caption import Caption, distinct
from components.captioning.decoding import (
    Lengths,
    sample_captions,
    search_captions,
    share_cross_attention,
)
from components.captioning.device import best_device, check_finite, pixel_values, placed
from components.captioning.noise import image_seed
from components.ensemble.pretrained import load_silently, pretrained_config
from components.ensemble.whole import SAFE, check_tokenizer, load_whole
from components.errors import BeamfleetError
from components.images.decode import Pixels

_MAX_LENGTH = 50


@dataclass
class LoadedBlip:
    """Weights on a device, tokenizer and image processor."""

    model: BlipForConditionalGeneration
    processor: BlipProcessor
    device: torch.device


class BlipCaptioner(ModelHandler[Pixels, PredictionResult, LoadedBlip]):
    """Writes captions of images: a tuple of Caption each, the likeliest first.

    The vision model runs once for an image, whatever the number of captions. They are sampled, or,
    with `num_beams`, searched. A sampled caption depends on the image and on `seed`: in float32 on
    the CPU the same image gets the same captions in any batch and on any worker. On a GPU, in
    bfloat16, the rounding depends on the size of the batch, and now and then another word wins.

    Example:
        Stage("caption", BlipCaptioner("models/blip", num_captions=5), inputs="image")

    Source: Li et al. 2022, BLIP.
    """

    def __init__(
        self,
        model: str,
        num_captions: int = 5,
        min_length: int = 1,
        max_length: int | None = None,
        num_beams: int = 1,
        seed: int = 0,
        batch_size: int = 8,
        version: str = "",
    ) -> None:
        """Names the model; nothing is loaded yet.

        Args:
          model: folder of a BlipForConditionalGeneration in safetensors, with its processor.
          num_captions: captions of an image (`num_return_sequences`); equal ones are counted, not
            repeated.
          min_length, max_length: tokens of a caption, start and end included. None is 50, or as
            many as the model can write if these are fewer.
          num_beams: 1 samples from the 50 likeliest tokens; more searches so many beams.
          seed: another one samples other captions.
          batch_size: images of a pass; the memory of a GPU limits it.
          version: named in each result; the folder, if empty.

        Raises:
          BeamfleetError: a number makes no sense.
        """
        super().__init__()
        if min(num_captions, min_length, num_beams, batch_size) < 1:
            raise BeamfleetError(
                "num_captions, min_length, num_beams and batch_size must be at least 1"
            )
        if max_length is not None and not max(2, min_length) <= max_length:
            raise BeamfleetError(
                f"max_length must be at least 2 and min_length, {min_length}; it is {max_length}"
            )
        if 1 < num_beams < num_captions:
            raise BeamfleetError(
                f"{num_beams} beams cannot give {num_captions} captions; set num_beams to as many"
            )
        self._model, self._version, self._seed = model, version or model, seed
        self._num_captions, self._num_beams = num_captions, num_beams
        self._min_length, self._max_length = min_length, max_length
        self._batch_size = batch_size

    def check_files(self) -> None:
        """Looks at the settings in the folder; loads nothing.

        Raises:
          BeamfleetError: it holds no BLIP that writes captions, or one that writes shorter ones.
        """
        config = pretrained_config(self._model, "BlipForConditionalGeneration")
        if most := config.get("text_config", {}).get("max_position_embeddings"):
            self._lengths(most)

    def load_model(self) -> LoadedBlip:
        """Reads safetensors only, which hold no code; nothing is fetched.

        Raises:
          BeamfleetError: see `check_files`.
        """
        self.check_files()
        load_silently()
        device = best_device()
        model = load_whole(BlipForConditionalGeneration, self._model)
        share_cross_attention(model)
        processor = BlipProcessor.from_pretrained(self._model, **SAFE)
        check_tokenizer(processor.tokenizer, model.config.text_config.vocab_size, self._model)
        return LoadedBlip(placed(model, device), processor, device)

    @torch.inference_mode()
    def run_inference(
        self,
        batch: Sequence[Pixels],
        model: LoadedBlip,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """(height, width, 3) uint8 images of any sizes -> tuples of Caption."""
        pixels = pixel_values(batch, model.processor.image_processor, model.model)
        states = model.model.vision_model(pixels).last_hidden_state
        tokens, log_probabilities = self._written(batch, states, model)
        check_finite(log_probabilities, "BLIP")
        texts = model.processor.batch_decode(tokens, skip_special_tokens=True)
        is_cut = (tokens != model.model.config.text_config.sep_token_id).all(dim=1).tolist()
        captions = [
            Caption(_tidy(text), log_probability, is_cut=cut)
            for text, log_probability, cut in zip(
                texts, log_probabilities.tolist(), is_cut, strict=True
            )
        ]
        n = self._num_captions
        return [
            PredictionResult(image, distinct(captions[i * n : i * n + n]), self._version)
            for i, image in enumerate(batch)
        ]

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": self._batch_size, "max_batch_size": self._batch_size}

    def get_metrics_namespace(self) -> str:
        return "beamfleet_blip"

    def _lengths(self, most: int) -> Lengths:
        """What is asked for, of a model that writes up to so many tokens."""
        length = self._max_length or min(max(_MAX_LENGTH, self._min_length), most)
        if max(length, self._min_length) > most:
            raise BeamfleetError(
                f"{self._model} writes at most {most} tokens; min_length is {self._min_length}, "
                f"max_length {length}"
            )
        return Lengths(self._min_length, length)

    def _written(
        self, batch: Sequence[Pixels], states: torch.Tensor, model: LoadedBlip
    ) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = self._lengths(model.model.config.text_config.max_position_embeddings)
        if self._num_beams > 1:
            return search_captions(
                model.model, states, self._num_beams, self._num_captions, lengths
            )
        numbers = torch.arange(self._num_captions)
        seeds = torch.tensor([image_seed(image, self._seed) for image in batch])
        seeds = (seeds[:, None] + numbers).to(model.device)
        return sample_captions(model.model, states, seeds, lengths)


def _tidy(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
