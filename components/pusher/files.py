"""The few file operations that a safe push is made of."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from components.errors import BeamfleetError
from components.files import exists, is_remote, open_file


def read_text(uri: str) -> str:
    """Reads a small UTF-8 file from any Beam filesystem.

    Raises:
      FileNotFoundError: there is none.
    """
    if not exists(uri):
        raise FileNotFoundError(uri)
    with open_file(uri) as file:
        return str(file.read(), "utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file beside `path` and renames it: readers see the old or the new one.

    The caller holds the lock, so that one name for the staged file is enough and none piles up.
    """
    write_text(path, f"{json.dumps(content, indent=1, sort_keys=True)}\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file as `write_json` does."""
    staged = path.with_name(f".{path.name}.new")
    with staged.open("w", encoding="utf-8") as file:
        file.write(text)
        sync(file)
    staged.replace(path)
    sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Appends a line; one that a killed process left unfinished stays a line of its own."""
    with path.open("ab+") as file:
        if file.tell() and _last_byte(file) != b"\n":
            line = f"\n{line}"
        file.write(f"{line}\n".encode())
        sync(file)


def copy_folder(uri: str, target: Path, without: Collection[str] = ()) -> None:
    """Copies the files under `uri` (any Beam filesystem) to a new local folder, onto the disk."""
    target.mkdir()
    for name in sorted(set(_file_names(uri)) - set(without)):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with open_file(f"{uri}/{name}") as source, copy.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            sync(file)
    for folder in [target, *(p for p in target.rglob("*") if p.is_dir())]:
        sync_folder(folder)


def sync(file: IO[Any]) -> None:
    """Has the content on the disk before a rename makes it visible."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Has the names in a folder on the disk: a rename outlives a power cut only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Has everything below a folder on the disk."""
    for path in [folder, *folder.rglob("*")]:
        sync_folder(path)  # which takes a file as well


@contextmanager
def exclusive(lock: Path, wait_s: float) -> Iterator[None]:
    """Holds a lock file; the kernel lets go of it when its holder dies, so it is never stale.

    Raises:
      BeamfleetError: another process held it for longer than `wait_s` seconds.
    """
    with lock.open("a+", encoding="utf-8") as file:
        _wait(file, time.monotonic() + wait_s)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def folder_names(uri: str) -> list[str]:
    """Names of the folders right under `uri`; remotely, of those with a version.json."""
    if not is_remote(uri):
        root = Path(uri)
        return [p.name for p in root.iterdir() if p.is_dir()] if root.is_dir() else []
    from apache_beam.io.filesystems import FileSystems

    [match] = FileSystems.match([f"{uri}/*/version.json"])
    return [PurePosixPath(m.path).parent.name for m in match.metadata_list]


def _wait(file: IO[str], until: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                file.seek(0)
                raise BeamfleetError(
                    f"{file.name} is held by process {file.read() or '(unknown)'}, which is "
                    "pushing or rolling back; wait for it, or stop it if it hangs"
                ) from None
            time.sleep(0.05)


def _last_byte(file: IO[bytes]) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _file_names(uri: str) -> list[str]:
    if not is_remote(uri):
        root = Path(uri)
        return [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
    from apache_beam.io.filesystems import FileSystems

    [match] = FileSystems.match([f"{uri}/**"])
    return [str(PurePosixPath(m.path).relative_to(PurePosixPath(uri))) for m in match.metadata_list]
