"""A file that is too large for memory, and whole or absent all the same."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from components.files import is_remote, make_folder, move_into_place


@contextmanager
def staged_file(path: str) -> Iterator[BinaryIO]:
    """Opens a file beside the target, on any Beam filesystem; it is renamed when all is written."""
    folder, slash, name = path.rpartition("/")
    staged = f"{folder}{slash}.{name}.{uuid.uuid4().hex}.tmp"
    make_folder(folder)
    try:
        with _create(staged) as file:
            yield file
        move_into_place(staged, path)
    except BaseException:
        _remove(staged)
        raise


def _create(path: str) -> BinaryIO:
    if not is_remote(path):
        return Path(path).open("wb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    created = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return cast(BinaryIO, created)


def _remove(path: str) -> None:
    if not is_remote(path):
        Path(path).unlink(missing_ok=True)
        return
    from apache_beam.io.filesystems import FileSystems

    if FileSystems.exists(path):
        FileSystems.delete([path])
