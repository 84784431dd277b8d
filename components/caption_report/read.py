"""Reads what an ensemble's bulk inference wrote: captioned images, and those that failed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.caption_evaluator.score import normalised
from components.caption_report.names import common_folder
from components.captioning.caption import RankedCaption
from components.errors import BeamfleetError
from components.files import exists, is_remote, open_file
from components.images.tfrecord import is_tfrecord

PREDICTIONS, DEAD_LETTERS, SUMMARY = "predictions", "dead_letters", "summary.json"
READ = "read"
"""The stage of what could not be read."""
THUMBNAIL = "thumbnail"
_COLUMNS = (
    "image_uri", "variant", "width", "height", "sha256", THUMBNAIL, "captions", "versions",
    "reference",
)  # fmt: skip
_FACTS = ("format", "bytes", "brightness", "contrast")
"""Of the file: nothing to look at beside the picture."""
_BATCH_ROWS = 256
_BUFFER_BYTES = 2**20
"""Of a column at a time: without it a whole column of a row group is in memory."""


@dataclass(frozen=True)
class CaptionedImage:
    """One row of the predictions."""

    uri: str
    variant: str
    """Of an A/B test; else empty."""
    width: int
    height: int
    """Pixels, upright."""
    sha256: str
    """Of the file's bytes, hexadecimal; empty in results of before it was noted."""
    thumbnail: bytes
    """JPEG; empty where there is none, or where it was not asked for."""
    captions: tuple[RankedCaption, ...]
    """Best first."""
    versions: Mapping[str, str]
    """Stage -> model."""
    reference: str | None
    slices: Mapping[str, str | int]
    """The source's other words and whole numbers; null ones are left out."""

    @property
    def match(self) -> int | None:
        """Index of the caption that is the reference, -1 if none is; None without a reference."""
        if self.reference is None:
            return None
        right = normalised(self.reference)
        return next((i for i, c in enumerate(self.captions) if normalised(c.text) == right), -1)


@dataclass(frozen=True)
class DeadLetter:
    """An image without captions."""

    uri: str
    variant: str
    """Of an A/B test; else empty."""
    stage: str
    reason: str


class CaptionResult:
    """An InferenceResult of captions: reads it in batches, so memory does not grow with it."""

    def __init__(self, uri: str, rejects: str = "") -> None:
        """Counts.

        Args:
          uri: folder of the result, on any Beam filesystem.
          rejects: file of the examples that names the images which could not be read at all; it
            may be absent. Those failed as well, and nothing else tells of them.

        Raises:
          BeamfleetError: it is no such result, or rows of it are missing.
        """
        self.uri = uri
        self.summary = _summary(uri)
        self._files = {kind: _parts(uri, kind) for kind in (PREDICTIONS, DEAD_LETTERS)}
        self._rejects = [rejects] if rejects and exists(rejects) else []
        self.images = sum(map(_row_count, self._files[PREDICTIONS]))
        dead = sum(map(_row_count, self._files[DEAD_LETTERS]))
        self.failed = dead + sum(map(_row_count, self._rejects))
        expected = self.summary["images_in"]
        if self.images + dead != expected:
            raise BeamfleetError(
                f"{uri} is not whole: it holds {self.images} images and {dead} dead letters of "
                f"the {expected} images that its {SUMMARY} names; run the inference again"
            )

    @cached_property
    def folder(self) -> str:
        """What the URIs of all images begin with; names are shown without it."""
        return common_folder(self._uris())

    def _uris(self) -> Iterator[str]:
        for row in _rows(self._files[PREDICTIONS], ("image_uri",)):
            yield row["image_uri"]
        for letter in self.dead_letters():
            yield letter.uri

    def rows(self, *, thumbnails: bool = False) -> Iterator[CaptionedImage]:
        """The captioned images, in the order of the files."""
        for path in self._files[PREDICTIONS]:
            names = _column_names(path)
            if missing := {"image_uri", "captions"} - set(names):
                raise BeamfleetError(
                    f"{path} has no column {sorted(missing)[0]!r}: expected captions of images"
                )
            wanted = tuple(name for name in names if thumbnails or name != THUMBNAIL)
            for row in _rows([path], wanted):
                yield _image(row)

    def dead_letters(self) -> Iterator[DeadLetter]:
        """The images that failed, each with the reason; first those that could not be read."""
        for row in _rows(self._rejects, ("file", "line", "reason", "text")):
            yield DeadLetter(_rejected(row), "", READ, row["reason"])
        for row in _rows(self._files[DEAD_LETTERS], ("image_uri", "variant", "stage", "reason")):
            variant = row.get("variant") or ""
            yield DeadLetter(row["image_uri"], variant, row["stage"], row["reason"])


def _rejected(row: Mapping[str, Any]) -> str:
    """A file is its own name; a record of a TFRecord file has one, or a number."""
    is_record = row["line"] > 1 or is_tfrecord(row["file"])
    return str(row["text"] or (f"{row['file']}#{row['line']}" if is_record else row["file"]))


def _summary(uri: str) -> Mapping[str, Any]:
    path = f"{uri}/{SUMMARY}"
    if not exists(path):
        raise BeamfleetError(
            f"{uri} is no result of captions: expected a folder with {PREDICTIONS}/ and {SUMMARY}"
        )
    with open_file(path) as file:
        summary = json.loads(file.read())
    if skipped := summary.get("skipped"):
        raise BeamfleetError(f"{uri} holds no captions: {skipped}")
    if "images_in" not in summary:
        raise BeamfleetError(f"{path} names no images_in: {uri} is no result of captions")
    return dict(summary)


def _parts(uri: str, kind: str) -> list[str]:
    if not is_remote(uri):
        return sorted(map(str, Path(uri, kind).glob("part-*.parquet")))
    from apache_beam.io.filesystems import FileSystems

    [match] = FileSystems.match([f"{uri}/{kind}/part-*.parquet"])
    return sorted(str(file.path) for file in match.metadata_list)


def _row_count(path: str) -> int:
    with _opened(path) as parquet:
        return int(parquet.metadata.num_rows)


def _column_names(path: str) -> Sequence[str]:
    with _opened(path) as parquet:
        return list(parquet.schema_arrow.names)


def _rows(paths: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        with _opened(path) as parquet:
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
                yield from batch.to_pylist()


@contextmanager
def _opened(path: str) -> Iterator[pq.ParquetFile]:
    try:
        with open_file(path) as file:
            yield pq.ParquetFile(file, buffer_size=_BUFFER_BYTES)
    except (OSError, pa.ArrowException) as error:
        raise BeamfleetError(f"{path} is damaged, run the inference again: {error}") from error


def _image(row: Mapping[str, Any]) -> CaptionedImage:
    others = {name: value for name, value in row.items() if name not in (*_COLUMNS, *_FACTS)}
    captions = (RankedCaption(**{"times": 1, **caption}) for caption in row["captions"])
    return CaptionedImage(
        uri=row["image_uri"],
        variant=row.get("variant") or "",
        width=row.get("width") or 0,
        height=row.get("height") or 0,
        sha256=row.get("sha256") or "",
        thumbnail=row.get(THUMBNAIL) or b"",
        captions=tuple(captions),
        versions=dict(row.get("versions") or ()),
        reference=row.get("reference"),
        slices={name: value for name, value in others.items() if isinstance(value, str | int)},
    )
