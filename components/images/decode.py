"""Bytes of an image file -> pixels. What cannot be read is an error, never a black image."""

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from components.errors import BeamfleetError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MAX_PIXELS = 64_000_000
"""Of one image; as RGB that takes 192 MB."""

Pixels = npt.NDArray[np.uint8]


class ImageError(BeamfleetError):
    """An image cannot be read; the message is the reason, without the image's name."""


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decodes the first frame, upright as its EXIF orientation says, over white where transparent.

    Args:
      content: a JPEG, PNG, WebP or GIF file.
      max_pixels: limit of width x height, looked at before anything is decompressed.

    Returns:
      (height, width, 3) uint8 RGB. 16-bit greys are scaled, CMYK is converted.

    Raises:
      ImageError: not such a file, cut off, damaged, or too large.
    """
    if not content:
        raise ImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ImageError(f"{width} x {height} pixels, at most {max_pixels} are read")
                image.load()
                return np.asarray(_rgb(_upright(image)))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"not a JPEG, PNG, WebP or GIF file: it begins {content[:8]!r}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"too many pixels: {error}") from None
    except Exception as error:  # whatever damaged files make a decoder raise
        raise ImageError(f"damaged: {type(error).__name__}: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the camera's notes are broken, not the picture: viewers show it as it is
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel; `convert` would cut them off at 255
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray((wide / 257).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        ground = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(ground, layers).convert("RGB")
    return image.convert("RGB")
