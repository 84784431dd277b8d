"""Every kind of image that people have; and what is none."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.images.decode import ImageError, ImageFacts, decode, examine, upright
from tests.components.images.pictures import (
    bad_files,
    bomb,
    good_files,
    of_scans,
    on_its_side,
    picture,
    saved,
)


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
    pixels = decode(on_its_side())
    assert pixels.shape == (12, 8, 3)
    assert pixels[2].mean() > 240 and pixels[-2, :, 1].mean() < 60


def test_the_first_frame_of_many():
    frames = [Image.new("P", (2, 2), 0), Image.new("P", (2, 2), 1)]
    frames[0].putpalette([10, 20, 30, 0, 0, 0])
    frames[1].putpalette([10, 20, 30, 90, 90, 90])
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content)[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "not a JPEG, PNG, WebP or GIF file: it begins b'<html>no'"),
        # Their decoders are many and old.
        (saved(picture(), "TIFF"), "^the file is TIFF; JPEG, PNG, WebP and GIF are read$"),
        (saved(picture(), "BMP"), "^the file is BMP; "),
        (b"\0\0\0\x18ftypheic", "^the file is HEIC; "),
        (b"\0\0\0\x1cftypavif", "^the file is AVIF; "),
        (saved(picture())[:10], "^damaged: it begins as PNG does"),
        (b"BMW, Beetle", "not a JPEG"),
        (bomb(9_000, 9_000), "9000 x 9000 pixels; at most 64,000,000 are read"),
        (bomb(60_000, 60_000), "^3,600,000,000 pixels; at most 64,000,000 are read"),
        (saved(picture(size=(64, 64)), "PNG")[:-30], "^damaged: (?!OSError)"),
        (saved(picture(size=(640, 640)), "JPEG")[:-400], "damaged"),
        (bomb(40, 40), "damaged"),
    ],
)
def test_what_is_no_whole_image_is_an_error(content, message):
    with pytest.raises(ImageError, match=message):
        decode(content)


def test_pillows_own_limit_is_said_where_it_is_the_lower_one():
    with pytest.raises(ImageError, match="at most 178,956,970 are read"):
        decode(bomb(60_000, 60_000), max_pixels=10**10)


def test_as_long_as_allowed_and_longer():
    for size in ((300, 3), (3, 300)):
        assert decode(saved(Image.new("L", size))).shape[:2] == size[::-1]
        assert examine(saved(Image.new("L", size))).width == size[0]
    for size in ((301, 3), (3, 301)):
        with pytest.raises(ImageError, match=f"{size[0]} x {size[1]} pixels, .* 100 times"):
            decode(saved(Image.new("L", size)))


def test_scans_that_no_decoder_skips_are_counted():
    content = of_scans(101)
    cut = content.index(b"\xff\xda", content.index(b"\xff\xda") + 2)
    hidden = content[:cut] + b"\xff\x02\xff\xff" + content[cut:]  # no part with a length
    with pytest.raises(ImageError, match="101 scans"):
        decode(hidden)
    phone = saved(picture(), "MPO", save_all=True, append_images=[picture()] * 120)
    assert decode(phone).shape == (8, 12, 3)


@pytest.mark.parametrize("turn", range(1, 9))
def test_all_orientations(turn):
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :24] = 255
    undo = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
            5: upright.T, 6: np.rot90(upright), 7: upright[::-1, ::-1].T,
            8: np.rot90(upright, 3)}[turn]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = turn
    for kind in ("JPEG", "PNG", "WEBP"):
        content = saved(Image.fromarray(np.ascontiguousarray(undo)), kind, exif=exif)
        error = np.abs(decode(content)[:, :, 0].astype(float) - upright)
        assert error.mean() < 8
        assert (examine(content).width, examine(content).height) == (32, 16)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"),
        ("PNG", "L"), ("WEBP", "RGBA"), ("WEBP", "RGB"),
    ],
)  # fmt: skip
def test_a_file_on_its_side_is_made_anew_upright(kind, mode):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(picture(mode), kind, exif=exif, icc_profile=b"colours")
    made = upright(content)
    with Image.open(io.BytesIO(made)) as image:
        assert (image.format, image.size) == (kind, (8, 12))
        assert not image.getexif() and image.info["icc_profile"] == b"colours"
    error = np.abs(decode(made).astype(float) - decode(content))
    assert error.mean() < (3 if kind == "JPEG" else 0.01)
    assert upright(made) is made


def test_notes_of_the_camera_that_make_no_sense_do_not_turn_it():
    for orientation in (b"\x00\x2a", b"\xff\xff"):
        entry = b"\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01" + orientation + bytes(6)
        exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08" + entry
        content = saved(picture(), "JPEG", exif=exif)
        assert decode(content).shape == (8, 12, 3)
        assert examine(content).width == 12


@pytest.mark.parametrize("name", good_files())
def test_facts_are_those_of_the_pixels(name):
    content = good_files()[name]
    facts, pixels = examine(content), decode(content)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    assert (facts.height, facts.width) == pixels.shape[:2]
    assert facts.brightness == pytest.approx(luma.mean(), abs=2)  # JPEG's colours
    assert facts.contrast == pytest.approx(luma.std(), abs=2)


def test_the_format_is_that_of_the_content():
    names = ("plain.jpg", "phone.jpg", "a jpeg named.png", "no suffix", "moving.webp", "moving.gif")
    found = [examine(good_files()[name]).format for name in names]
    assert found == ["JPEG", "JPEG", "JPEG", "PNG", "WEBP", "GIF"]


def test_figures_of_large_images_hardly_depend_on_the_kind_of_file():
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (15, 20, 3), np.uint8))
    image = coarse.resize((2000, 1500), Image.Resampling.BICUBIC)
    found = [examine(saved(image, kind, quality=95)) for kind in ("JPEG", "PNG", "WEBP")]
    luma = np.asarray(image) @ np.array([0.299, 0.587, 0.114])
    for facts in found:
        assert (facts.width, facts.height) == (2000, 1500)
        assert facts.brightness == pytest.approx(luma.mean(), abs=1)
        assert facts.contrast == pytest.approx(luma.std(), abs=1)


def test_noise_of_single_pixels_counts_less_in_large_images_of_any_kind():
    noise = np.random.default_rng(0).integers(0, 255, (1100, 1300), np.uint8)
    small = examine(saved(Image.fromarray(noise[:200, :200]))).contrast
    for kind in ("JPEG", "PNG"):
        assert examine(saved(Image.fromarray(noise), kind)).contrast == pytest.approx(
            small / 4, rel=0.1
        )


def test_black_and_white():
    black = ImageFacts("PNG", 3, 2, 0.0, 0.0)
    assert examine(saved(Image.new("RGB", (3, 2)))) == black
    half = Image.new("L", (4, 4))
    half.paste(255, (0, 0, 2, 4))
    facts = examine(saved(half))
    assert (facts.brightness, facts.contrast) == (127.5, 127.5)


@pytest.mark.parametrize("name", bad_files())
def test_examine_refuses_with_the_words_of_decode(name):
    content, reason = bad_files()[name]
    if "larger" in reason:
        return  # it is `fetch` that refuses it
    reasons = []
    for read in (decode, examine):
        with pytest.raises(ImageError, match=reason) as caught:
            read(content)
        reasons.append(str(caught.value))
    assert reasons[0] == reasons[1]


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
        with pytest.raises(ImageError):
            examine(bytes(content))
    else:
        assert pixels.ndim == 3 and pixels.shape[2] == 3
        facts = examine(bytes(content))
        assert (facts.height, facts.width) == pixels.shape[:2]
