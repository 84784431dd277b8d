"""Files that are whole or absent, on any Beam filesystem.

The command line imports this: Beam and Arrow are imported where they are needed only.
"""

import hashlib
import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    import pyarrow as pa


def is_remote(uri: str) -> bool:
    """True for a URI of a Beam filesystem that is not a local path, such as `gs://bucket/x`."""
    return "://" in uri


def open_file(path: str) -> BinaryIO:
    """Opens a file to read its bytes as they are; one can seek in it.

    Raises:
      OSError: it is missing or cannot be read.
    """
    if not is_remote(path):
        return Path(path).open("rb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    opened = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return cast(BinaryIO, opened)


def create_file(path: str) -> BinaryIO:
    """Opens a new file to write its bytes as they are; its folder has to be there."""
    if not is_remote(path):
        return Path(path).open("wb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    made = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return cast(BinaryIO, made)


def sha256_of(file: Path) -> str:
    """SHA-256 of the bytes of a local file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def exists(path: str) -> bool:
    """Whether there is a file or folder of this name."""
    if not is_remote(path):
        return Path(path).exists()
    from apache_beam.io.filesystems import FileSystems

    return bool(FileSystems.exists(path))


def write_whole(path: str, content: bytes) -> None:
    """Writes beside the target and renames, over an earlier file; makes the folder if needed."""
    folder, slash, name = path.rpartition("/")
    staged = f"{folder}{slash}.{name}.{uuid.uuid4().hex}.tmp"
    make_folder(folder)
    try:
        _write(staged, content)
        move_into_place(staged, path)
    except BaseException:
        _remove(staged)
        raise


def write_parquet(path: str, table: "pa.Table") -> None:
    """Writes a zstd Parquet file that is whole or absent."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_whole(path, buffer.getvalue())


def write_json(path: str, content: Mapping[str, Any]) -> None:
    """Writes a small JSON file that is whole or absent."""
    write_whole(path, f"{json.dumps(content, indent=1, sort_keys=True)}\n".encode())


def move_into_place(staged: str, path: str) -> None:
    """Renames a file or folder, over an earlier file."""
    if not is_remote(path):
        Path(staged).replace(path)
        return
    from apache_beam.io.filesystems import FileSystems

    if FileSystems.exists(path):
        FileSystems.delete([path])
    FileSystems.rename([staged], [path])


def make_folder(folder: str) -> None:
    """Makes a folder unless it is there; another worker may do the same."""
    if not is_remote(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        return
    from apache_beam.io.filesystems import FileSystems

    try:
        FileSystems.mkdirs(folder)
    except OSError:
        if not FileSystems.exists(folder):
            raise


def _write(path: str, content: bytes) -> None:
    with create_file(path) as file:
        file.write(content)


def _remove(path: str) -> None:
    if not is_remote(path):
        Path(path).unlink(missing_ok=True)
        return
    from apache_beam.io.filesystems import FileSystems

    if FileSystems.exists(path):
        FileSystems.delete([path])
