"""Bytes of an image file -> pixels. What cannot be read is an error, never a black image."""

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from components.errors import BeamfleetError
from components.images.signature import EXTENSIONS, why_not_read

FORMATS = tuple(EXTENSIONS)
MAX_PIXELS = 64_000_000
"""Of one image; as RGB that takes 192 MB."""
MAX_ASPECT = 100
"""Longer side by shorter side. Models make the shorter side as long as they like, as CLIP does
before it cuts the middle out: of 20000 x 1 pixels 4480000 x 224, which are 10 GB."""
MAX_SCANS = 100
"""Of a JPEG: each goes over all pixels, in some 50 ms where they are many, and needs 31 bytes of
file only. Progressive files have about 10."""

Pixels = npt.NDArray[np.uint8]
_T = TypeVar("_T")

_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""Where a part of a JPEG begins that says its length; those within a scan, FF00 and FFD0 to FFD7,
do not."""
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_ORIENTATION = ExifTags.Base.Orientation
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""EXIF orientation -> what sets the image upright."""
_SIDEWAYS = (5, 6, 7, 8)
_FACTS_SIDE = 256
"""Pixels that both sides keep in the smaller image that figures are taken from."""
_REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK")


class ImageError(BeamfleetError):
    """An image cannot be read; the message is the reason, without the image's name."""


@dataclass(frozen=True)
class ImageFacts:
    """What can be said of an image in numbers."""

    format: str
    """Of FORMATS, by its content and not by its name."""
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    brightness: float
    """Mean luma, 0 (black) to 255 (white)."""
    contrast: float
    """Standard deviation of the luma, 0 (plain) to 127.5. Large images are made smaller by 2, 4 or
    8 before, as long as both sides keep 256 pixels: noise of single pixels counts less there."""


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decodes the first frame, upright as its EXIF orientation says, over white where transparent.

    Args:
      content: a JPEG, PNG, WebP or GIF file.
      max_pixels: limit of width x height, looked at before anything is decompressed.

    Returns:
      (height, width, 3) uint8 RGB. 16-bit greys are scaled, CMYK is converted.

    Raises:
      ImageError: not such a file, cut off, damaged, too large, too long for its width, or of too
        many scans.
    """
    return _opened(content, max_pixels, _pixels)


def examine(content: bytes, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """Reads the whole file as `decode` does and refuses what `decode` refuses, for less.

    JPEG is decoded to grey and at a part of its size, which takes a third of the time.

    Raises:
      ImageError: as `decode`.
    """
    return _opened(content, max_pixels, _facts)


def upright(content: bytes, max_pixels: int = MAX_PIXELS) -> bytes:
    """The file as it is; or, where its EXIF orientation turns it, a file of the pixels upright.

    Not all readers look at the orientation, and `decode` shows models the image upright. A file
    that is made anew has no EXIF; JPEG is written at quality 95, other kinds without loss.

    Raises:
      ImageError: as `decode`.
    """
    return _opened(content, max_pixels, _turned) or content


def check_aspect(width: int, height: int) -> None:
    """Refuses what would be huge once its shorter side is that of others.

    Raises:
      ImageError: it is longer than MAX_ASPECT allows.
    """
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"{width} x {height} pixels, the longer side may be {MAX_ASPECT} times the shorter one"
        )


def _opened(content: bytes, max_pixels: int, use: Callable[[Image.Image], _T]) -> _T:
    if not content:
        raise ImageError("the file is empty")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            # Pillow warns of large ones too; to catch that in `warnings` is not safe in threads.
            if width * height > max_pixels:
                raise ImageError(_too_large(f"{width} x {height}", max_pixels))
            check_aspect(width, height)
            if image.format in ("JPEG", "MPO") and (scans := _scans(content)) > MAX_SCANS:
                raise ImageError(f"a JPEG of {scans} scans, at most {MAX_SCANS} are read")
            return use(image)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(why_not_read(content)) from None
    except Image.DecompressionBombError as error:
        # Pillow's own limit; it gives no image that could be asked for its size.
        many = re.search(r"\d+", str(error))
        limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels))
        raise ImageError(_too_large(f"{int(many[0]):,}" if many else "more", limit)) from None
    except Exception as error:  # whatever damaged files make a decoder raise
        raise ImageError(f"damaged: {str(error) or type(error).__name__}") from error


def _too_large(pixels: str, max_pixels: int) -> str:
    return f"{pixels} pixels; at most {max_pixels:,} are read (max_pixels)"


def _scans(content: bytes) -> int:
    """How often a JPEG goes over its pixels, without what is beside and behind them, as videos."""
    scans, place = 0, 2
    while (found := _MARKER.search(content, place)) and found[0] != _END:
        scans += found[0] == _SCAN
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
    return scans


def _pixels(image: Image.Image) -> Pixels:
    image.load()
    turn = _TURNS.get(_orientation(image))
    return np.asarray(_rgb(image if turn is None else image.transpose(turn)))


def _turned(image: Image.Image) -> bytes:
    """The file of the image upright; empty where it is so already."""
    turn = _TURNS.get(_orientation(image))
    if turn is None:
        return b""
    made = io.BytesIO()
    kind = _kind(image)
    quality = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True}
    colours = image.info.get("icc_profile")
    image.transpose(turn).save(made, kind, exif=b"", icc_profile=colours, **quality)
    return made.getvalue()


def _facts(image: Image.Image) -> ImageFacts:
    width, height = image.size
    factor = next((f for f in (8, 4, 2) if min(width, height) // f >= _FACTS_SIDE), 1)
    # For JPEG only; others stay as they are. All of the file is read, only less is computed.
    image.draft("L", (width // factor, height // factor))
    image.load()
    if image.size == (width, height) and image.mode in _REDUCIBLE:
        grey = _rgb(image.reduce(factor)).convert("L")
    else:
        grey = _rgb(image).convert("L")
    counts, levels = np.asarray(grey.histogram(), float), np.arange(256)
    brightness = counts @ levels / counts.sum()
    contrast = math.sqrt(counts @ (levels - brightness) ** 2 / counts.sum())
    if _orientation(image) in _SIDEWAYS:
        width, height = height, width
    return ImageFacts(_kind(image), width, height, float(brightness), contrast)


def _kind(image: Image.Image) -> str:
    # A JPEG with more pictures in it, as phones write it, is named MPO.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # the camera's notes are broken, not the picture: viewers show it as it is
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel; `convert` would cut them off at 255
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray((wide / 257).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        ground = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(ground, layers).convert("RGB")
    return image.convert("RGB")
