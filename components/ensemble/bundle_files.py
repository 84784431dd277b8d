"""Lists, hashes and copies files on any Beam filesystem, reading each once."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, cast

from components.errors import BeamfleetError
from components.files import is_remote, open_file

_BLOCK_BYTES = 1 << 20


def hash_file(path: str) -> str:
    """SHA-256 of a file.

    Raises:
      OSError: it is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def copy_file(source: str, target: str) -> str:
    """Copies a file, makes the folder if need be, and gives the SHA-256 of what was copied.

    Raises:
      OSError: one of them cannot be read or written.
    """
    digest = hashlib.sha256()
    with _create(target) as file:
        for block in _blocks(source):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def check_hash(path: str, found: str, expected: str) -> None:
    """Looks that a file is what was written.

    Raises:
      BeamfleetError: it is not.
    """
    if found != expected:
        raise BeamfleetError(f"{path} was changed: its SHA-256 differs; restore the artifact")


def files_below(uri: str) -> set[str]:
    """Names of all files below a folder, relative to it; none if it is not there."""
    if not is_remote(uri):
        root = Path(uri)
        found = (p for p in root.rglob("*") if p.is_symlink() or not p.is_dir())
        return {path.relative_to(root).as_posix() for path in found}
    from apache_beam.io.filesystems import FileSystems

    [match] = FileSystems.match([f"{uri}/**"])
    return {str(m.path).removeprefix(f"{uri}/") for m in match.metadata_list}


def remove_below(uri: str) -> None:
    """Removes a folder and what is in it, if it is there."""
    if not is_remote(uri):
        shutil.rmtree(uri, ignore_errors=True)
        return
    from apache_beam.io.filesystems import FileSystems

    if names := files_below(uri):
        FileSystems.delete([f"{uri}/{name}" for name in sorted(names)])


def _blocks(path: str) -> Iterator[bytes]:
    with open_file(path) as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _create(path: str) -> AbstractContextManager[IO[bytes]]:
    if not is_remote(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Path(path).open("wb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    created = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return cast(AbstractContextManager[IO[bytes]], created)
