"""Other people's ways to caption with Beam, for benchmarks/captions.py."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import torch
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult, RunInference
from apache_beam.ml.inference.pytorch_inference import (
    PytorchModelHandlerKeyedTensor,
    PytorchModelHandlerTensor,
)
from PIL import Image
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPConfig,
    CLIPModel,
    CLIPProcessor,
)

from benchmarks._caption_inputs import STATE
from benchmarks._caption_sides import CAPTIONS, TOP_K, Job, Work, result_line, time_loads

DEVICE = "GPU" if torch.cuda.is_available() else "CPU"


def reference(job: Job) -> Work:
    """Beam's PyTorch handlers, one image a batch; image and captions are joined by CoGroupByKey."""
    time_loads(PytorchModelHandlerTensor)
    time_loads(PytorchModelHandlerKeyedTensor)
    blip = PytorchModelHandlerTensor(
        f"{job.blip}/{STATE}",
        BlipForConditionalGeneration,
        {"config": BlipConfig.from_pretrained(job.blip)},
        DEVICE,
        inference_fn=_generate,
        max_batch_size=1,
    )
    clip = PytorchModelHandlerKeyedTensor(
        f"{job.clip}/{STATE}",
        SqueezedClip,
        {"config": CLIPConfig.from_pretrained(job.clip)},
        DEVICE,
        max_batch_size=1,
    )
    lengths = {"min_length": job.min_length, "max_length": job.max_length}

    def work() -> None:
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            images = pipeline | beam.Create(job.files) | "Read" >> beam.Map(_read)
            captions = (
                images
                | "PrepareBlip" >> beam.ParDo(PrepareBlip(job.blip))
                | "Caption" >> RunInference(KeyedModelHandler(blip), inference_args=lengths)
                | "Decode" >> beam.ParDo(DecodeCaptions(job.blip))
            )
            _ = (
                {"images": images, "captions": captions}
                | beam.CoGroupByKey()
                | "PrepareClip" >> beam.ParDo(PrepareClip(job.clip))
                | "Rank" >> RunInference(KeyedModelHandler(clip))
                | "MakeLines" >> beam.MapTuple(_ranked_line)
                | "WriteLines" >> beam.io.WriteToText(job.out)
            )

    return work


def beam_example(job: Job) -> Work:
    """The handlers that come with Beam: they search with five beams, and rank a batch at once.

    Their settings are those of the example, but for the lengths of captions and batches.
    """
    from apache_beam.examples.inference import pytorch_image_captioning as example

    for handler_class in (example.BlipCaptionModelHandler, example.ClipRankModelHandler):
        _mend(handler_class)
        time_loads(handler_class)
    device = "cuda" if DEVICE == "GPU" else "cpu"
    tokens = job.max_length - 1
    blip = example.BlipCaptionModelHandler(
        job.blip, device, job.blip_batch, CAPTIONS, max_new_tokens=tokens, num_beams=CAPTIONS
    )
    clip = example.ClipRankModelHandler(job.clip, device, job.clip_batch, score_normalize=True)

    def work() -> None:
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            _ = (
                pipeline
                | beam.Create(job.files)
                | "MakeKeys" >> beam.ParDo(example.MakeKeyDoFn())
                | "Read" >> beam.ParDo(example.ReadImageBytesDoFn())
                | "Decode" >> beam.ParDo(example.DecodeImageDoFn())
                | "Caption" >> RunInference(KeyedModelHandler(blip))
                | "Rank" >> RunInference(KeyedModelHandler(clip))
                | "MakeLines" >> beam.MapTuple(_example_line)
                | "WriteLines" >> beam.io.WriteToText(job.out)
            )

    return work


class Loaded(list[Any]):
    """A model and its processor."""


def _mend(handler_class: Any) -> None:
    """Makes the example run, which was written for earlier libraries and loads a tuple.

    Beam 2.77 fails to keep a weak reference to that, and the features that CLIP gives are within
    another object since transformers 5.
    """
    load = handler_class.load_model

    def load_model(self: Any) -> Loaded:
        model, processor = load(self)
        if isinstance(model, CLIPModel):
            model.get_image_features = _pooled(model.get_image_features)
            model.get_text_features = _pooled(model.get_text_features)
        return Loaded([model, processor])

    handler_class.load_model = load_model


def _pooled(features: Any) -> Callable[..., torch.Tensor]:
    def of_output(**inputs: Any) -> torch.Tensor:
        pooled: torch.Tensor = features(**inputs).pooler_output
        return pooled

    return of_output


class SqueezedClip(CLIPModel):
    """Takes the captions of one image, to which the handler adds a dimension."""

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        squeezed = {name: tensor.squeeze(0) for name, tensor in inputs.items()}
        logits: torch.Tensor = super().forward(**squeezed).logits_per_image
        return logits


class PrepareBlip(beam.DoFn):
    """(uri, picture) -> (uri, pixels)."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def setup(self) -> None:
        self._processor = BlipProcessor.from_pretrained(self._folder)

    def process(self, element: tuple[str, Image.Image]) -> Iterator[tuple[str, torch.Tensor]]:
        uri, image = element
        yield uri, self._processor(images=image, return_tensors="pt").pixel_values[0]


class DecodeCaptions(beam.DoFn):
    """(uri, tokens) -> (uri, captions)."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def setup(self) -> None:
        self._processor = BlipProcessor.from_pretrained(self._folder)

    def process(self, element: tuple[str, PredictionResult]) -> Iterator[tuple[str, list[str]]]:
        uri, result = element
        yield uri, self._processor.batch_decode(result.inference, skip_special_tokens=True)


class PrepareClip(beam.DoFn):
    """(uri, picture and captions) -> ((uri, captions), tensors)."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def setup(self) -> None:
        self._processor = CLIPProcessor.from_pretrained(self._folder)

    def process(self, element: tuple[str, Any]) -> Iterator[tuple[Any, dict[str, torch.Tensor]]]:
        uri, joined = element
        [image], [captions] = joined["images"], joined["captions"]
        inputs = self._processor(text=captions, images=image, padding=True, return_tensors="pt")
        yield (uri, tuple(captions)), dict(inputs)


def _read(uri: str) -> tuple[str, Image.Image]:
    return uri, Image.open(uri).convert("RGB")


def _generate(
    batch: Sequence[torch.Tensor],
    model: Any,
    device: Any,
    inference_args: dict[str, Any],
    model_id: str | None = None,
) -> Iterable[PredictionResult]:
    """Inference function of PytorchModelHandlerTensor."""
    with torch.no_grad():
        tokens = model.generate(
            torch.stack(list(batch)).to(device),
            do_sample=True,
            top_k=TOP_K,
            num_return_sequences=CAPTIONS,
            **inference_args,
        )
    for example, captions in zip(batch, tokens.split(CAPTIONS), strict=True):
        yield PredictionResult(example, captions.cpu(), model_id)


def _ranked_line(key: tuple[str, tuple[str, ...]], result: PredictionResult) -> str:
    uri, captions = key
    return result_line(uri, captions, result.inference.softmax(-1).tolist())


def _example_line(uri: str, result: Any) -> str:
    found = getattr(result, "inference", result)
    return result_line(uri, found["candidates"], found["scores"])
