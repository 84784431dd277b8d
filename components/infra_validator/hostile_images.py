"""Requests with images that a server must refuse with a 4xx and survive."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from PIL import Image

from components.infra_validator.malformed import Malformed
from components.model_server.requests import IMAGE


def hostile_images(good: Mapping[str, Any]) -> list[Malformed]:
    """Puts what is no image, or too much of one, in the place of an image.

    Args:
      good: body of a request of one row.
    """
    whole = image_file(64)
    files = {
        "empty image": b"",
        "image that is text": b"hello",
        "image of another format": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "image cut off": whole[: len(whole) // 2],
        "image with a damaged header": whole[:12] + b"?" + whole[13:],
        "image of billions of pixels": _png(60_000, 60_000),
        "image of no pixels": _png(0, 0),
    }
    texts = {
        "image that is no base64": "%%%",
        "image that is not ASCII": "größe",
        "image in URL-safe base64": "_-_-",
        "image as a path": "/etc/hosts",
        "image as an address": "http://127.0.0.1/",
    }
    bodies = {case: with_image(good, content) for case, content in files.items()}
    bodies |= {case: _with_text(good, text) for case, text in texts.items()}
    return [Malformed(case, json.dumps(body).encode()) for case, body in bodies.items()]


def image_file(side: int) -> bytes:
    """A grey PNG of `side` x `side` pixels."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), "grey").save(file, "PNG")
    return file.getvalue()


def with_image(request: Mapping[str, Any], content: bytes) -> dict[str, Any]:
    """The request with another image file."""
    return _with_text(request, base64.b64encode(content).decode())


def _with_text(request: Mapping[str, Any], text: str) -> dict[str, Any]:
    inputs = [
        {**tensor, "data": [text]} if tensor["name"] == IMAGE else tensor
        for tensor in request["inputs"]
    ]
    return {**request, "inputs": inputs}


def _png(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and has almost nothing in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
