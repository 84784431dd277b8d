"""Our side of benchmarks/captions.py, and the loop without Beam that it is compared with."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor, CLIPModel, CLIPProcessor

CAPTIONS = 5
TOP_K = 50

Work = Callable[[], None]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Job:
    """What a side has to do."""

    files: Sequence[str]
    """Paths of images."""
    blip: str
    """Folder."""
    clip: str
    """Folder."""
    blip_batch: int
    """Images of a pass of BLIP."""
    clip_batch: int
    """Images of a pass of CLIP; a multiple of the other one."""
    min_length: int
    """Tokens of a caption, start and end included."""
    max_length: int
    """As above."""
    out: str = ""
    """Path, or its beginning, of the results: a JSON line for each image."""

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path) -> "Job":
        return Job(**json.loads(path.read_text()))


@dataclass(frozen=True)
class Loads:
    """How long models took to load in this process."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: "Loads") -> "Loads":
        return Loads(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)

    def __sub__(self, other: "Loads") -> "Loads":
        return Loads(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)

    @staticmethod
    def now() -> "Loads":
        return sum(_LOADS, Loads())


_LOADS: list[Loads] = []


@contextmanager
def loading() -> Iterator[None]:
    """Counts what happens within as loading."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    _LOADS.append(Loads(time.perf_counter() - wall, time.process_time() - cpu))


def time_loads(handler_class: Any) -> None:
    """Counts the loads of a model handler; for Beam loads its models while it runs."""
    load = handler_class.load_model

    def load_model(self: Any) -> Any:
        with loading():
            return load(self)

    handler_class.load_model = load_model


def result_line(uri: str, texts: Sequence[str], probabilities: Sequence[float]) -> str:
    """What each side writes of an image."""
    return json.dumps({"uri": uri, "captions": list(texts), "probabilities": list(probabilities)})


def ours(job: Job) -> Work:
    """ReadImages, RunEnsemble with both handlers, text files."""
    import apache_beam as beam

    from components.captioning.blip import BlipCaptioner
    from components.captioning.clip import ClipRanker
    from components.ensemble.graph import Ensemble, Stage
    from components.ensemble.run import RunEnsemble
    from components.images.find import FoundImages
    from components.images.read import ReadImages

    time_loads(BlipCaptioner)
    time_loads(ClipRanker)
    blip = BlipCaptioner(
        job.blip, CAPTIONS, job.min_length, job.max_length, batch_size=job.blip_batch
    )
    clip = ClipRanker(job.clip, batch_size=job.clip_batch)
    ensemble = Ensemble(Stage("caption", blip, "image"), Stage("rank", clip, ("image", "caption")))

    def work() -> None:
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            _ = (
                pipeline
                | ReadImages(FoundImages(tuple(job.files)))
                | RunEnsemble(ensemble)
                | "MakeLines" >> beam.Map(_record_line)
                | "WriteLines" >> beam.io.WriteToText(job.out)
            )

    return work


def _record_line(record: Any) -> str:
    if record.failure:
        raise RuntimeError(f"{record.key}: {record.failure}")
    ranked = record.values["rank"]
    texts = [one.text for one in ranked for _ in range(one.times)]
    return result_line(record.key, texts, [one.probability for one in ranked])


def limit(job: Job) -> Work:
    """The plain loop with the `generate` of transformers."""
    return PlainLoop(job).run


def limit_best(job: Job) -> Work:
    """The plain loop with our decoding, and equal captions read once."""
    return OwnDecodingLoop(job).run


class PlainLoop:
    """Files in batches: decoded, captioned, ranked, written; no Beam."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.blip, self.blip_processor = self._load(
            BlipForConditionalGeneration, BlipProcessor, job.blip
        )
        self.clip, self.clip_processor = self._load(CLIPModel, CLIPProcessor, job.clip)

    @torch.inference_mode()
    def run(self) -> None:
        with Path(self.job.out).open("w") as out:
            for files in _chunks(self.job.files, self.job.clip_batch):
                images = [Image.open(file).convert("RGB") for file in files]
                chunks = _chunks(images, self.job.blip_batch)
                captions = [texts for chunk in chunks for texts in self._captions(chunk)]
                ranked = self._ranked(images, captions)
                for file, texts, probabilities in zip(files, captions, ranked, strict=True):
                    out.write(f"{result_line(file, texts, probabilities)}\n")

    def _captions(self, images: Sequence[Any]) -> Iterator[Sequence[str]]:
        inputs = self.blip_processor(images=images, return_tensors="pt")
        made = self._tokens(inputs.pixel_values.to(self.device, self.dtype))
        return _chunks(self.blip_processor.batch_decode(made, skip_special_tokens=True), CAPTIONS)

    def _tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.blip.generate(
            pixels,
            do_sample=True,
            top_k=TOP_K,
            num_return_sequences=CAPTIONS,
            min_length=self.job.min_length,
            max_length=self.job.max_length,
        )
        return tokens

    def _texts(self, captions: Sequence[Sequence[str]]) -> list[str]:
        return [text for texts in captions for text in texts]

    def _ranked(
        self, images: Sequence[Any], captions: Sequence[Sequence[str]]
    ) -> Iterator[list[float]]:
        texts = self._texts(captions)
        inputs = self.clip_processor(text=texts, images=images, padding=True, return_tensors="pt")
        inputs["pixel_values"] = inputs["pixel_values"].to(self.dtype)
        logits = self.clip(**inputs.to(self.device)).logits_per_image.float().cpu()
        places: dict[str, int] = {text: place for place, text in enumerate(texts)}
        for row, own in zip(logits, captions, strict=True):
            yield row[[places[text] for text in own]].softmax(-1).tolist()

    def _load(self, model_class: Any, processor_class: Any, folder: str) -> tuple[Any, Any]:
        with loading():
            model = model_class.from_pretrained(folder, local_files_only=True)
            processor = processor_class.from_pretrained(folder, local_files_only=True)
            return model.to(self.device, self.dtype).eval(), processor


class OwnDecodingLoop(PlainLoop):
    """What is left for Beam and the ensemble to lose."""

    def __init__(self, job: Job) -> None:
        from components.captioning.decoding import share_cross_attention

        super().__init__(job)
        share_cross_attention(self.blip)

    def _tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        from components.captioning.decoding import Lengths, sample_captions

        states = self.blip.vision_model(pixels).last_hidden_state
        seeds = torch.randint(2**62, (len(pixels), CAPTIONS), device=self.device)
        lengths = Lengths(self.job.min_length, self.job.max_length)
        tokens, _ = sample_captions(self.blip, states, seeds, lengths)
        return tokens

    def _texts(self, captions: Sequence[Sequence[str]]) -> list[str]:
        return list(dict.fromkeys(super()._texts(captions)))


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
