"""Images in TFRecord files of tf.Example, read without TensorFlow.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import gzip
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from components.errors import BeamfleetError
from components.images.decode import ImageError
from components.images.fetch import open_regular
from components.images.tf_example import example_class

_NAME = re.compile(r"\.tfrecords?(-\d+-of-\d+)?(\.gz)?$", re.IGNORECASE)
_BESIDE_IMAGE = 2**20
"""Bytes that a record may have beside the image."""
_MOST_TIMES, _UNMEASURED = 100, 2**20
"""A gzip file may hold so many times its own bytes, and so many bytes more: encoded images hardly
become smaller, but millions of empty records do."""
_CUT = "the file ends within the record; nothing behind it can be read"

IMAGE_KEYS = ("image/encoded", "image", "image_raw")
NAME_KEYS = ("image/filename", "image_uri")
CAPTION_KEYS = ("image/caption", "caption", "caption/text")


@dataclass(frozen=True)
class ImageRecord:
    """One record of a TFRecord file."""

    number: int
    """In the file, from 1."""
    content: bytes = b""
    """The encoded image."""
    name: str = ""
    """From NAME_KEYS; empty: the record names none."""
    caption: str | None = None
    """From CAPTION_KEYS, the first if there are several."""
    reason: str = ""
    """Why the record cannot be used; empty: it can."""


def is_tfrecord(uri: str) -> bool:
    """Whether a file is TFRecord by its name (`x.tfrecord`, `x.tfrecord-00000-of-00002.gz`)."""
    return bool(_NAME.search(uri))


def read_tfrecord(uri: str, max_bytes: int) -> Iterator[ImageRecord]:
    """Yields the records of a file, plain or gzipped; damaged ones with the reason.

    A record whose content does not fit its checksum is left out and the next one is read. Where
    the length of a record is damaged, or the file ends within it, nothing behind can be found:
    that is the last record.

    Args:
      uri: of any Beam filesystem.
      max_bytes: of an encoded image; a larger record is passed over without being held.
    """
    number = 0
    try:
        with open_regular(uri) as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file = cast(BinaryIO, _Unzipped(raw)) if zipped else raw
            for number, content in enumerate(_records(file, max_bytes + _BESIDE_IMAGE), 1):
                yield _parse(number, content)
        if not number:
            raise ImageError("the file is empty: it has no record")
    except ImageError as error:
        yield ImageRecord(number + 1, reason=str(error))
    except BeamfleetError:
        raise
    except Exception as error:  # a damaged gzip file, or whatever a remote store says
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        yield ImageRecord(number + 1, reason=f"the file cannot be read on: {reason}")


class _Unzipped(gzip.GzipFile):
    """Ends with an ImageError where little becomes too much."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(fileobj=raw)
        self._raw = raw

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        if self.tell() > _MOST_TIMES * self._raw.tell() + _UNMEASURED:
            raise ImageError(
                f"the file becomes more than {_MOST_TIMES} times as large when it is decompressed; "
                "it is not read on"
            )
        return content


def _records(file: BinaryIO, max_bytes: int) -> Iterator[bytes | ImageError]:
    """Yields the records, or what is wrong with one; raises where it cannot go on."""
    while head := file.read(12):
        if len(head) < 12:
            raise ImageError(_CUT)
        length, check = struct.unpack("<QI", head)
        if _checksum(head[:8]) != check:
            raise ImageError(
                "the length of the record does not fit its checksum; nothing behind it can be read"
            )
        if length > max_bytes:
            _pass_over(file, length + 4)
            yield ImageError(f"a record of {length} bytes, at most {max_bytes} are read")
            continue
        body = file.read(length + 4)
        if len(body) < length + 4:
            raise ImageError(_CUT)
        content = body[:length]
        if _checksum(content) != int.from_bytes(body[length:], "little"):
            yield ImageError("the record does not fit its checksum")
        else:
            yield content


def _pass_over(file: BinaryIO, length: int) -> None:
    while length > 0:
        read = len(file.read(min(length, 2**20)))
        if not read:
            raise ImageError(_CUT)
        length -= read


def _checksum(content: bytes) -> int:
    try:
        from google_crc32c import value
    except ImportError:
        raise BeamfleetError(
            "reading TFRecord files needs the package google-crc32c: pip install google-crc32c"
        ) from None
    crc = value(content)
    return int((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _parse(number: int, content: bytes | ImageError) -> ImageRecord:
    if isinstance(content, ImageError):
        return ImageRecord(number, reason=str(content))
    from google.protobuf.message import DecodeError

    try:
        features = example_class().FromString(content).features.feature
    except DecodeError:
        return ImageRecord(number, reason="the record is no tf.Example")
    try:
        image = _first(features, IMAGE_KEYS)
        name, caption = (_first(features, keys) for keys in (NAME_KEYS, CAPTION_KEYS))
        if image is None:
            reason = f"the tf.Example has none of {', '.join(IMAGE_KEYS)}, only {sorted(features)}"
            return ImageRecord(number, reason=reason[:500])
        text = None if caption is None else caption.decode().strip() or None
        return ImageRecord(number, image, (name or b"").decode(), text)
    except UnicodeDecodeError:
        return ImageRecord(number, reason="the name or caption in the record is not UTF-8")


def _first(features: Any, keys: Sequence[str]) -> bytes | None:
    for key in keys:
        # `in` first: to look up what is not there would add it.
        if key in features and features[key].bytes_list.value:
            return bytes(features[key].bytes_list.value[0])
    return None
