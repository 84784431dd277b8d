"""Image files of all kinds, good and bad."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB", size=(12, 8)) -> Image.Image:
    """Red, with a white left half."""
    image = Image.new("RGB", size, (200, 30, 30))
    image.paste("white", (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def on_its_side(degrees_tag: int = 6) -> bytes:
    """12 x 8 pixels, to be shown as 8 x 12."""
    exif = Image.Exif()
    exif[0x0112] = degrees_tag
    return saved(picture(), "JPEG", exif=exif, quality=95)


def bomb(width: int, height: int) -> bytes:
    """A PNG file that promises more pixels than it has."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def of_scans(count: int, others: int = 0) -> bytes:
    """A progressive JPEG of so many scans; a note and a film hold what looks like others."""
    content = saved(picture(), "JPEG", progressive=True)
    start, last = content[:2], content[content.rindex(b"\xff\xda") : -2]
    more = count - content.count(b"\xff\xda")
    film = b"\xff\xda\0\2" * others
    note = b"\xff\xe1" + struct.pack(">H", len(film) + 2) + film
    return start + note + content[2:-2] + last * more + b"\xff\xd9\0\2" + film


def good_files() -> dict[str, bytes]:
    """Name -> content, of every kind that people have; all of them 12 x 8 pixels."""
    frames = {"save_all": True, "append_images": [Image.new("RGB", (12, 8), "blue")]}
    wide = Image.fromarray(np.full((8, 12), 30_000, np.uint16))
    return {
        "plain.jpg": saved(picture(), "JPEG"),
        "progressive.jpg": saved(picture(), "JPEG", progressive=True),
        "film behind.jpg": of_scans(100, others=200),
        "cmyk.jpg": saved(picture("CMYK"), "JPEG"),
        "grey.jpg": saved(picture("L"), "JPEG"),
        "phone.jpg": saved(picture(), "MPO", **frames),
        "plain.png": saved(picture()),
        "palette.png": saved(picture("P")),
        "one bit.png": saved(picture("1")),
        "alpha.png": saved(picture("RGBA")),
        "grey alpha.png": saved(picture("LA")),
        "sixteen bits.png": saved(wide),
        "plain.webp": saved(picture(), "WEBP"),
        "moving.webp": saved(picture(), "WEBP", **frames),
        "plain.gif": saved(picture("P"), "GIF"),
        "moving.gif": saved(picture(), "GIF", **frames),
        "a jpeg named.png": saved(picture(), "JPEG"),
        "no suffix": saved(picture()),
        "größe 💥 'x';\n--.png": saved(picture()),
    }


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Name -> (content, what the reason has to say)."""
    png, jpeg = saved(picture(size=(64, 64))), saved(picture(size=(640, 640)), "JPEG")
    return {
        "empty.jpg": (b"", "the file is empty"),
        "cut.png": (png[:-30], "damaged"),
        "cut.jpg": (jpeg[:-400], "damaged"),
        "cut.webp": (saved(picture(size=(64, 64)), "WEBP")[:-20], "damaged"),
        "cut.gif": (saved(picture("P", (640, 640)), "GIF")[:-900], "damaged"),
        "page.jpg": (b"<html>404</html>", "not a JPEG, PNG, WebP or GIF file: it begins"),
        "drawing.jpg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG"),
        "text.png": (b"I am no image", "not a JPEG"),
        "scan.tif": (saved(picture(), "TIFF"), "the file is TIFF"),
        "bitmap.bmp": (saved(picture(), "BMP"), "the file is BMP"),
        "zeros.jpg": (bytes(5000), "not a JPEG"),
        "huge.png": (bomb(9_000, 9_000), "9000 x 9000 pixels; at most 64,000,000 are read"),
        "bomb.png": (bomb(60_000, 60_000), "3,600,000,000 pixels; at most"),
        "line.png": (saved(picture(size=(20_000, 1))), "20000 x 1 pixels, the longer side may be"),
        "scans.jpg": (of_scans(101), "a JPEG of 101 scans, at most 100 are read"),
        "lies.png": (bomb(40, 40), "damaged"),
        "large.jpg": (jpeg + bytes(60_000), "larger than 60000 bytes"),
    }


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
