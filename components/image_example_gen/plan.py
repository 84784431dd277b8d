"""Decides what is read: the images, what is known of them, and who reads which."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.errors import BeamfleetError
from components.files import is_remote, open_file
from components.image_example_gen.config import ImageSource
from components.images.examples import MADE
from components.images.find import FoundImages, find_images, path_key, said_others
from components.images.references import References, read_references
from components.images.tfrecord import is_tfrecord
from components.printable import printable
from components.words import counted

_NAMED = 3
SHARD_IMAGES = 500
"""Images that one worker reads into one file."""


@dataclass(frozen=True)
class PlannedImage:
    """An image to be read."""

    uri: str
    known: Mapping[str, Any]
    """Column -> value, from the reference file."""


@dataclass(frozen=True)
class Shard:
    """What one worker reads into one file: some images, or one TFRecord file."""

    number: int
    images: tuple[PlannedImage, ...]

    @property
    def is_tfrecord(self) -> bool:
        return is_tfrecord(self.images[0].uri)


@dataclass(frozen=True)
class ImagePlan:
    """What is read."""

    shards: tuple[Shard, ...]
    types: Mapping[str, pa.DataType]
    """The columns of the reference file but for the caption."""
    refused: tuple[tuple[str, str], ...]
    """(path, reason) of what is rejected unread."""
    notes: tuple[str, ...]
    """What the user should know."""
    fingerprint: str
    """SHA-256 over names and states of the files; of addresses whose state nobody knows without
    fetching them, over the names."""
    is_volatile: bool
    """Whether there are such addresses."""


def plan_images(source: ImageSource) -> ImagePlan:
    """Lists the images and reads what is known of them; reads no image.

    Raises:
      BeamfleetError: a place holds nothing, or the reference file cannot be used.
    """
    found = find_images(*source.images)
    paths = _reference_files(source, found)
    key = path_key()
    tables = {*map(key, paths)}
    uris = [uri for uri in found.uris if key(uri) not in tables]
    references = read_references(paths, uris, found.folders)
    if taken := sorted({*MADE.names} & {*references.types}):
        raise BeamfleetError(
            f"{', '.join(paths)} has the column {taken[0]!r}, which ImageExampleGen makes itself; "
            "rename it"
        )
    return ImagePlan(
        tuple(_shards([PlannedImage(uri, _known(uri, references)) for uri in uris])),
        references.types,
        found.refused,
        tuple(_notes(found, uris, paths, references)),
        _fingerprint(found, uris, paths),
        any(is_remote(uri) and uri not in found.states for uri in uris),
    )


def _reference_files(source: ImageSource, found: FoundImages) -> tuple[str, ...]:
    if source.references:
        return (source.references,)
    folders = [path.rpartition("/")[0] for path in found.references]
    for folder in folders:
        if folders.count(folder) > 1:
            several = ", ".join(p.rpartition("/")[2] for p in found.references if folder in p)
            raise BeamfleetError(f"{folder} has {several}; name one of them: references=...")
    return found.references


def _known(uri: str, references: References) -> dict[str, Any]:
    columns = {"reference": references.captions, **references.columns}
    return {name: values[uri] for name, values in columns.items() if uri in values}


def _shards(images: Sequence[PlannedImage]) -> Iterator[Shard]:
    """Cuts the images into shards without changing their order."""
    number, waiting = 0, list[PlannedImage]()
    for image in images:
        apart = is_tfrecord(image.uri)
        if waiting and (apart or len(waiting) == SHARD_IMAGES):
            yield Shard(number, tuple(waiting))
            number, waiting = number + 1, []
        if apart:
            yield Shard(number, (image,))
            number += 1
        else:
            waiting.append(image)
    if waiting:
        yield Shard(number, tuple(waiting))


def _notes(
    found: FoundImages, uris: Sequence[str], paths: Sequence[str], references: References
) -> Iterator[str]:
    if found.duplicates:
        yield f"{counted(found.duplicates, 'image')} named more than once and read once"
    if others := [path for path in found.others if path not in paths]:
        yield said_others(others)
    if not paths:
        return
    files = ", ".join(paths)
    images = [uri for uri in uris if not is_tfrecord(uri)]
    captions = len(references.captions)
    yield f"reference captions for {captions} of {counted(len(images), 'file')}, from {files}"
    if unmatched := references.unmatched:
        more = f" and {len(unmatched) - _NAMED} more" if len(unmatched) > _NAMED else ""
        names = ", ".join(map(printable, unmatched[:_NAMED]))
        rows = counted(len(unmatched), "row")
        yield f"no image was found for {rows} of {files}: {names}{more}"
    if unused := sorted({*found.references} - {*paths}):
        yield f"{', '.join(unused)} is not used"


def _fingerprint(found: FoundImages, uris: Sequence[str], paths: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with open_file(path) as file:
            digest.update(hashlib.sha256(file.read()).digest())
    for uri in uris:
        digest.update(f"{uri}\0{found.states.get(uri) or _state(uri)}\n".encode())
    digest.update(repr((found.refused, found.duplicates, found.others)).encode())
    return digest.hexdigest()


def _state(uri: str) -> str:
    """What changes when a local file does, though programs may set its time back, as `cp -p`."""
    if is_remote(uri):
        return "unknown"
    try:
        stat = os.stat(uri)  # noqa: PTH116 - a path with a null byte has to be told of
    except (OSError, ValueError):
        return "missing"
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
