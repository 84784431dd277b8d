"""Writes images and their captions as pairs that an image generator can be fine-tuned on.

    OUT/train/000000.tar ...    as WebDataset; or
    OUT/train/metadata.jsonl    and the images as image folder of Hugging Face
    OUT/failed.jsonl            image_uri, stage, reason of each image that failed, if any did
    OUT/export.json             the counts

The files are those that were captioned, read again: whatever is gone, changed or broken since is
named and counted. Images in = exported + below the threshold + failed.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TextIO

from components.caption_report.pairs import ImageFolderWriter, Pair, PairWriter, WebDatasetWriter
from components.caption_report.read import CaptionResult
from components.errors import BeamfleetError
from components.example_gen.in_order import map_in_order
from components.files import is_remote, write_json
from components.images.decode import MAX_PIXELS, ImageError, decode, upright
from components.images.fetch import FetchLimits, fetch
from components.images.tfrecord import is_tfrecord

WEBDATASET, IMAGE_FOLDER = "webdataset", "imagefolder"
FORMATS = (WEBDATASET, IMAGE_FOLDER)
BEST, ALL = "best", "all"
FAILED = "failed.jsonl"
Progress = Callable[[int, int], None]
STAGE = "export"
"""What the line of an image names that cannot be read again."""


@dataclass(frozen=True)
class ExportConfig:
    """What is exported, and how."""

    format: str = WEBDATASET
    """Of FORMATS."""
    min_probability: float = 0.0
    """Captions of a lower probability are left out, and images of which none is left."""
    caption: str = BEST
    """BEST, or ALL that are probable enough: lines of KEY.txt, a list in metadata.jsonl."""
    limits: FetchLimits = field(default_factory=FetchLimits)
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise BeamfleetError(f"format is one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.caption not in (BEST, ALL):
            raise BeamfleetError(f"caption is {BEST} or {ALL}, not {self.caption!r}")
        if not 0 <= self.min_probability <= 1:
            raise BeamfleetError(f"min_probability is between 0 and 1, not {self.min_probability}")


@dataclass(frozen=True)
class Exported:
    """What became of the images; images_in = exported + below_threshold + failed."""

    images_in: int
    exported: int
    below_threshold: int
    failed: int
    unreadable: int
    """Of those that failed: captioned, and could not be read again."""


def export_pairs(
    result_uri: str,
    out: str,
    config: ExportConfig,
    progress: Progress = lambda done, total: None,
    rejects: str = "",
) -> Exported:
    """Exports the images of an InferenceResult of captions into a new folder.

    Args:
      result_uri: folder of the result, on any Beam filesystem.
      out: a new or empty local folder; it is whole or absent.
      config: what, and how.
      progress: called with how many captioned images are done, and of how many.
      rejects: file of the examples that names the images which could not be read; may be absent.

    Raises:
      BeamfleetError: there is no such result, `out` is taken, or nothing is left to export.
    """
    result = CaptionResult(result_uri, rejects)
    with _new_folder(out) as folder:
        exported = _Export(result, config, folder, progress).run()
        if not exported.exported:
            raise BeamfleetError(_nothing(exported, config, folder))
        about = {"result": result_uri, "model_version": result.summary.get("model_version")}
        chosen = {k: getattr(config, k) for k in ("format", "min_probability", "caption")}
        write_json(str(folder / "export.json"), {**asdict(exported), **about, **chosen})
    return exported


class _Export:
    """One pass over a result."""

    def __init__(
        self, result: CaptionResult, config: ExportConfig, folder: Path, progress: Progress
    ) -> None:
        self._result = result
        self._config = config
        self._folder = folder
        self._progress = progress
        self._below = 0

    def run(self) -> Exported:
        exported = unreadable = 0
        with _failures(self._folder) as failed, _writer(self._folder, self._config) as writer:
            for letter in self._result.dead_letters():
                _note(failed, letter.uri, letter.stage, letter.reason)
            read_again = partial(_read_again, config=self._config)
            for pair, problem in map_in_order(read_again, self._pairs()):
                if problem:
                    _note(failed, pair.image.uri, STAGE, problem)
                    unreadable += 1
                else:
                    writer.add(pair)
                    exported += 1
                self._progress(exported + unreadable + self._below, self._result.images)
        count = self._result.images + self._result.failed
        lost = self._result.failed + unreadable
        return Exported(count, exported, self._below, lost, unreadable)

    def _pairs(self) -> Iterator[Pair]:
        """The images with a caption that is probable enough."""
        for number, image in enumerate(self._result.rows()):
            ranked = image.captions[:1] if self._config.caption == BEST else image.captions
            least = self._config.min_probability
            if captions := tuple(one for one in ranked if one.probability >= least):
                yield Pair(number, image, captions)
            else:
                self._below += 1


def _read_again(pair: Pair, config: ExportConfig) -> tuple[Pair, str]:
    """The pair with the file's bytes, upright; or the reason why there are none."""
    if is_tfrecord(pair.image.uri.rpartition("#")[0]):
        return pair, "a record of a TFRecord file is not read again; export from image files"
    try:
        content = fetch(pair.image.uri, config.limits)
        height, width, _ = decode(content, config.max_pixels).shape
        turned = upright(content, config.max_pixels)
    except ImageError as error:
        return pair, str(error)
    image = pair.image
    if image.width and (width, height) != (image.width, image.height):
        return pair, (
            f"it has changed since: {width} x {height} pixels now, {image.width} x {image.height} "
            "when it was captioned"
        )
    if image.sha256 and image.sha256 != hashlib.sha256(content).hexdigest():
        return pair, "it has changed since it was captioned: its SHA-256 is another"
    return replace(pair, content=turned), ""


def _writer(folder: Path, config: ExportConfig) -> PairWriter:
    if config.format == WEBDATASET:
        return WebDatasetWriter(folder)
    return ImageFolderWriter(folder, one_caption=config.caption == BEST)


@contextmanager
def _failures(folder: Path) -> Iterator[TextIO]:
    """The file that names what failed; none if nothing did."""
    path = folder / FAILED
    with path.open("w", encoding="utf-8") as file:
        yield file
    if not path.stat().st_size:
        path.unlink()


def _note(file: TextIO, uri: str, stage: str, reason: str) -> None:
    line = {"image_uri": uri, "stage": stage, "reason": reason}
    file.write(f"{json.dumps(line, ensure_ascii=False)}\n")


def _nothing(exported: Exported, config: ExportConfig, folder: Path) -> str:
    text = (
        f"nothing is left to export: of {exported.images_in} images {exported.failed} failed and "
        f"{exported.below_threshold} have no caption of probability {config.min_probability:g} or "
        "more"
    )
    if not exported.failed:
        return f"{text}; lower the threshold"
    with (folder / FAILED).open(encoding="utf-8") as file:
        first = json.loads(next(file))
    return f"{text}; the first that failed is {first['image_uri']}: {first['reason']}"


@contextmanager
def _new_folder(out: str) -> Iterator[Path]:
    """A folder beside the target; it is renamed when all is written, and removed otherwise."""
    if is_remote(out):
        raise BeamfleetError(f"{out} is no local folder; export to one and copy it there")
    target = Path(out).absolute()
    staged = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise BeamfleetError(f"{out} is not empty; choose a new folder")
        staged.mkdir(parents=True)
    except OSError as error:
        raise BeamfleetError(f"{out} cannot be made: {error.strerror or error}") from None
    try:
        yield staged
        staged.replace(target)
    except OSError as error:
        raise BeamfleetError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
