"""Makes records of images: pixels, or the reason why there are none."""

import apache_beam as beam

from components.ensemble.record import Record
from components.images.decode import MAX_PIXELS, ImageError, decode
from components.images.fetch import FetchLimits, fetch
from components.images.find import FoundImages

STAGE = "read"
"""What a dead letter of an image that cannot be read names."""


@beam.typehints.with_output_types(Record)
class ReadImages(beam.PTransform):
    """Images -> records with `image_uri` and `image`, (height, width, 3) uint8; or with a failure.

    Example:
        pipeline | ReadImages(find_images("photos"))
    """

    def __init__(
        self, found: FoundImages, limits: FetchLimits | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        super().__init__()
        self._found = found
        self._limits = limits or FetchLimits()
        self._max_pixels = max_pixels

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        # One list of both kinds: to flatten two would keep all pixels in memory at once.
        listed = [*((uri, "") for uri in self._found.uris), *self._found.refused]
        return (
            pipeline
            | "ListImages" >> beam.Create(listed, reshuffle=True)
            | "ReadImages" >> beam.Map(_read_or_refuse, self._limits, self._max_pixels)
        )


def _read_or_refuse(listed: tuple[str, str], limits: FetchLimits, max_pixels: int) -> Record:
    uri, refused = listed
    return _record(uri).failed(STAGE, refused) if refused else read_image(uri, limits, max_pixels)


def read_image(uri: str, limits: FetchLimits, max_pixels: int = MAX_PIXELS) -> Record:
    """Reads one image; whatever goes wrong is the record's failure."""
    try:
        pixels = decode(fetch(uri, limits), max_pixels)
    except ImageError as error:
        return _record(uri).failed(STAGE, str(error))
    return _record(uri).with_prediction("image", pixels, "")


def _record(uri: str) -> Record:
    return Record(uri, {"image_uri": uri})
