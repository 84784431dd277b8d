"""Finds images and makes records of them: pixels, or the reason why there are none."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam

from components.ensemble.record import Record
from components.errors import BeamfleetError
from components.images.decode import MAX_PIXELS, ImageError, decode
from components.images.fetch import FetchLimits, fetch

STAGE = "read"
"""What a dead letter of an image that cannot be read names."""


def find_images(*places: str) -> list[str]:
    """Lists the images of folders, patterns, lists and addresses; each once, in order.

    Args:
      places: a folder (all files in and below it but hidden ones: what is no image will be named
        as such), a pattern (`photos/**/*.jpg`), a text file with one path or address a line, or
        the path or address of one image.

    Raises:
      BeamfleetError: a place does not exist, or holds nothing.
    """
    found: dict[str, None] = {}
    for place in places:
        listed = _found(place)
        found |= dict.fromkeys(listed)
        if not listed:
            raise BeamfleetError(f"there are no images at {place}")
    if not found:
        raise BeamfleetError("name a folder, a pattern, a list or an address of images")
    return list(found)


def _found(place: str) -> list[str]:
    path = Path(place)
    if "://" in place:
        return [place]
    if path.is_dir():
        return sorted(str(p) for p in path.rglob("*") if p.is_file() and not _hidden(p, path))
    if path.suffix == ".txt" and path.is_file():
        return list(_listed(path))
    if path.is_file():
        return [place]
    matches = glob.glob(place, recursive=True)  # noqa: PTH207 - Path takes no absolute pattern
    return sorted(match for match in matches if Path(match).is_file())


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _listed(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise BeamfleetError(f"{path} is no UTF-8 text with one image a line") from None
    for line in filter(None, map(str.strip, lines)):
        # As in a shell script beside the images: relative to the list.
        yield line if "://" in line or Path(line).is_absolute() else str(path.parent / line)


@beam.typehints.with_output_types(Record)
class ReadImages(beam.PTransform):
    """URIs -> records with `image_uri` and `image`, (height, width, 3) uint8; or with a failure."""

    def __init__(
        self, uris: Iterable[str], limits: FetchLimits | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        super().__init__()
        self._uris = list(uris)
        self._limits = limits or FetchLimits()
        self._max_pixels = max_pixels

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | "ListImages" >> beam.Create(self._uris, reshuffle=True)
            | "ReadImages" >> beam.Map(read_image, self._limits, self._max_pixels)
        )


def read_image(uri: str, limits: FetchLimits, max_pixels: int = MAX_PIXELS) -> Record:
    """Reads one image; whatever goes wrong is the record's failure."""
    record = Record(uri, {"image_uri": uri})
    try:
        pixels = decode(fetch(uri, limits), max_pixels)
    except ImageError as error:
        return record.failed(STAGE, str(error))
    return record.with_prediction("image", pixels, "")
