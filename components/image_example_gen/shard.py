"""Reads the images of one shard into one file, a row group at a time."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict
from threading import BoundedSemaphore
from typing import Any

import pyarrow as pa

from components.example_gen.parts import Reject
from components.image_example_gen.config import ImageSource
from components.image_example_gen.plan import PlannedImage, Shard
from components.image_example_gen.write import ShardWriter
from components.images.ahead import map_ahead
from components.images.decode import ImageError, examine
from components.images.fetch import fetch, is_web
from components.images.tfrecord import ImageRecord, read_tfrecord

_WEB_THREADS = 16

Row = dict[str, Any]
"""Column -> value; see `components.images.examples.MADE`."""


def write_shard(shard: Shard, staging: str, schema: pa.Schema, source: ImageSource) -> None:
    """Reads a shard and writes its file, its rejects and a report of both, see `ShardWriter`.

    In memory are one row group, some images ahead of it, and as many decoded images as there are
    cores.

    Args:
      shard: what to read.
      staging: folder to write to, on any Beam filesystem.
      schema: plain types of all columns.
      source: what reading an image may cost.
    """
    with ShardWriter(staging, shard.number, schema) as writer:
        for row in _rows(shard, source):
            writer.write(row)


def _rows(shard: Shard, source: ImageSource) -> Iterator[Row | Reject]:
    reader = _Reader(source)
    cores = os.cpu_count() or 1
    if shard.is_tfrecord:
        [image] = shard.images
        reader.file = image.uri
        records = read_tfrecord(image.uri, source.limits.max_bytes)
        return map_ahead(reader.record, records, cores, _size)
    # Waiting for servers is no work: as many at a time as any of them will bear.
    threads = _WEB_THREADS if any(is_web(image.uri) for image in shard.images) else cores
    return map_ahead(reader.image, shard.images, threads, _size)


class _Reader:
    """Makes rows, or rejects; for many threads."""

    def __init__(self, source: ImageSource) -> None:
        self.file = ""
        """The TFRecord file that records are from."""
        self._source = source
        # Decoded images are large: a few at a time, however many threads wait for servers.
        self._decoding = BoundedSemaphore(os.cpu_count() or 1)

    def image(self, image: PlannedImage) -> Row | Reject:
        try:
            content = fetch(image.uri, self._source.limits)
            return self._row(image.uri, content, dict(image.known))
        except ImageError as error:
            return Reject(image.uri, 1, str(error), "")

    def record(self, record: ImageRecord) -> Row | Reject:
        # Within the file: a name that stands alone could be that of a file on the reader's disk.
        uri = f"{self.file}#{record.name or record.number}"
        try:
            if record.reason:
                raise ImageError(record.reason)
            return self._row(uri, record.content, {"reference": record.caption})
        except ImageError as error:
            return Reject(self.file, record.number, str(error), record.name)

    def _row(self, uri: str, content: bytes, known: Row) -> Row:
        if len(content) > self._source.limits.max_bytes:
            raise ImageError(f"larger than {self._source.limits.max_bytes} bytes")
        with self._decoding:
            facts = examine(content, self._source.max_pixels)
        of_file = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return {"image_uri": uri, "image": content, **of_file, **asdict(facts), **known}


def _size(row: Row | Reject) -> int:
    """Bytes of the image."""
    return len(row["image"]) if isinstance(row, dict) else 0
