"""Version folders before they are there for readers, and after they were."""

import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.pusher import files
from components.pusher.directory import PushedDirectory, Version, now
from components.pusher.stores import PushedStore


def next_number(directory: PushedDirectory) -> int:
    """A number that no version had; the caller holds the directory's lock, as in all of these."""
    return max([directory.pointer().highest, *directory.numbers()]) + 1


def add_version(
    directory: PushedDirectory, details: Mapping[str, Any], write: Callable[[Path], PushedStore]
) -> Version:
    """Makes the folder of a version, whole and on the disk; nobody sees it before CURRENT does.

    Args:
      directory: Where.
      details: For version.json, without what the store says itself; "number" names the folder.
      write: Makes the folder that it is given, syncs it, and gives the store in it, checked.
    """
    remove_leftovers(directory)
    staged = _hidden(directory.root)
    number = int(details["number"])
    try:
        store = write(staged)
        whole = {
            **details,
            "created": now(),
            "schema_fingerprint": store.interface_fingerprint,
            "store_fingerprint": store.fingerprint,
            "counts": dict(store.counts),
        }
        files.write_json(staged / "version.json", whole)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    staged.rename(directory.root / str(number))
    files.sync_folder(directory.root)
    return Version(number, f"{directory.uri}/{number}", whole, new=True)


def remove_leftovers(directory: PushedDirectory) -> None:
    """Removes what killed pushes left; under the lock nobody else is staging."""
    highest = directory.pointer().highest
    for number in directory.numbers():
        if number > highest:  # renamed, but the pointer was not moved any more
            directory.read(number)  # a stranger's folder is not ours to remove
            discard(directory, number)
    for folder in directory.root.glob(".staged-*"):
        shutil.rmtree(folder)


def discard(directory: PushedDirectory, number: int) -> None:
    """Removes a version."""
    hidden = _hidden(directory.root)
    (directory.root / str(number)).rename(hidden)  # at once: nobody sees half of it
    shutil.rmtree(hidden)


def _hidden(root: Path) -> Path:
    return root / f".staged-{uuid.uuid4().hex}"
