"""Every kind of image that people have; and what is none."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.images.decode import ImageError, decode

RED = (200, 30, 30)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB", size=(12, 8)) -> Image.Image:
    """Red, with a white left half."""
    image = Image.new("RGB", size, RED)
    image.paste("white", (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"), ("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "P"),
        ("PNG", "L"), ("PNG", "1"), ("PNG", "RGBA"), ("WEBP", "RGB"), ("GIF", "P"),
    ],
)  # fmt: skip
def test_all_kinds_become_rgb(kind, mode):
    pixels = decode(saved(picture(mode), kind))
    assert pixels.shape == (8, 12, 3) and pixels.dtype == np.uint8
    expected = np.asarray(picture(mode).convert("RGB"), float)
    assert np.abs(pixels - expected).mean() < 20  # JPEG blurs the edge


def test_transparency_lies_over_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    assert decode(saved(image, "PNG")).tolist() == [[[255] * 3, [0] * 3]]


def test_sixteen_bits_are_scaled():
    wide = Image.fromarray(np.array([[0, 257, 65535]], np.uint16))
    assert decode(saved(wide, "PNG"))[0, :, 0].tolist() == [0, 1, 255]


def test_an_image_on_its_side_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    pixels = decode(saved(picture(), "JPEG", exif=exif, quality=95))
    assert pixels.shape == (12, 8, 3)
    assert pixels[2].mean() > 240 and pixels[-2, :, 1].mean() < 60


def test_the_first_frame_of_many():
    frames = [Image.new("P", (2, 2), 0), Image.new("P", (2, 2), 1)]
    frames[0].putpalette([10, 20, 30, 0, 0, 0])
    frames[1].putpalette([10, 20, 30, 90, 90, 90])
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content)[0, 0].tolist() == [10, 20, 30]


def bomb(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "not a JPEG, PNG, WebP or GIF file: it begins b'<html>no'"),
        (b"II*\x00" + bytes(40), "not a JPEG"),  # TIFF: its decoders are many and old
        (bomb(9_000, 9_000), "9000 x 9000 pixels"),
        (bomb(60_000, 60_000), "too many pixels|60000 x 60000"),
        (saved(picture(size=(64, 64)), "PNG")[:-30], "damaged"),
        (saved(picture(size=(640, 640)), "JPEG")[:-400], "damaged"),
        (bomb(40, 40), "damaged"),
    ],
)
def test_what_is_no_whole_image_is_an_error(content, message):
    with pytest.raises(ImageError, match=message):
        decode(content)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]), st.integers(0, 2**20), st.binary(max_size=6)
)
def test_a_damaged_file_gives_pixels_or_an_image_error(kind, place, noise):
    content = bytearray(saved(picture("P" if kind == "GIF" else "RGB", (40, 30)), kind))
    start = place % len(content)
    content[start : start + len(noise)] = noise
    try:
        pixels = decode(bytes(content))
    except ImageError as error:
        assert str(error)
    else:
        assert pixels.ndim == 3 and pixels.shape[2] == 3
