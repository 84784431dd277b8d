"""Captions on the terminal."""

import itertools
from collections.abc import Iterator

from components.caption_report.read import CaptionedImage, CaptionResult, DeadLetter
from components.images.signature import NO_IMAGE
from components.printable import printable
from components.words import counted


def result_lines(
    result: CaptionResult,
    limit: int | None = 10,
    top: int = 3,
    ranker: str = "CLIP",
    where: str = "captions.html",
) -> Iterator[str]:
    """Lines of all images of a result, then of those that failed; last what is no image.

    Args:
      result: what to print.
      limit: so many images, and so many failed ones; None is all.
      top: captions of an image.
      ranker: who ranked them.
      where: where the rest can be seen, for the line that counts it.
    """
    for image in itertools.islice(result.rows(), limit):
        yield from image_lines(image, image.uri.removeprefix(result.folder), top, ranker)
        yield ""
    yield from _more(result.images, limit, "captioned", where)
    for letter in itertools.islice(_images_first(result), limit):
        yield from _failed(letter, letter.uri.removeprefix(result.folder))
        yield ""
    yield from _more(result.failed, limit, "failed", where)


def image_lines(
    image: CaptionedImage, name: str, top: int = 3, ranker: str = "CLIP"
) -> Iterator[str]:
    """Lines of one image: `1: a cat wearing a hat. (Caption probability: 0.43)`."""
    yield _title(name, image.variant)
    shown = image.captions[:top]
    noun = "caption" if len(shown) == 1 else "captions"
    yield f"Top {len(shown)} {noun} ranked by {ranker}:"
    for number, caption in enumerate(shown, start=1):
        text = printable(caption.text).strip()
        stop = "" if text.endswith((".", "!", "?")) else "."
        stop = " ..." if caption.is_cut else stop
        yield f"{number}: {text}{stop} (Caption probability: {caption.probability:.2f})"


def _images_first(result: CaptionResult) -> Iterator[DeadLetter]:
    """An image that is damaged matters more than ten files that nobody takes for images."""
    for is_none in (False, True):
        yield from (x for x in result.dead_letters() if x.reason.startswith(NO_IMAGE) is is_none)


def _failed(letter: DeadLetter, name: str) -> Iterator[str]:
    yield _title(name, letter.variant)
    yield f"No captions, failed in {printable(letter.stage)}: {printable(letter.reason)}"


def _title(name: str, variant: str) -> str:
    return f"Image: {printable(name)}" + (f" [{printable(variant)}]" if variant else "")


def _more(count: int, limit: int | None, what: str, where: str) -> Iterator[str]:
    if limit is not None and count > limit:
        yield f"{counted(count - limit, 'more image')} {what}: {where}"
        yield ""
