"""Finds image files in folders, patterns, lists and addresses."""

import fnmatch
import glob
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from components.errors import BeamfleetError
from components.files import is_remote, open_file
from components.images.fetch import is_web
from components.images.others import is_other

REFERENCE_NAMES = ("captions.csv", "metadata.csv", "metadata.jsonl")
"""Files that tell of the images of the folder that they lie in, and are no images themselves."""

_FILE_ADDRESS = re.compile(r"file://(localhost)?(?=/)", re.IGNORECASE)


@dataclass(frozen=True)
class FoundImages:
    """What the given places hold."""

    uris: tuple[str, ...]
    """Paths and addresses, each once, as it was written first: of a folder all files but those in
    `others`, for only
    reading shows what is an image."""
    refused: tuple[tuple[str, str], ...] = ()
    """(path, reason) of what lies in a folder but is not read."""
    others: tuple[str, ...] = ()
    """What lies in a local folder and is no image, see `is_other`."""
    references: tuple[str, ...] = ()
    """Files of REFERENCE_NAMES that lie directly in a given folder."""
    folders: tuple[str, ...] = ()
    """The folders among the places."""
    duplicates: int = 0
    """How often an image was named that had been named before."""
    states: Mapping[str, str] = field(default_factory=dict)
    """URI -> what changes when the file does, as the listing of a remote store says it."""


def find_images(*places: str) -> FoundImages:
    """Lists the images of folders, patterns, lists and addresses; each once, in order.

    Folders and patterns give no hidden file and follow no link that leads out of them, nor any to
    a folder: what is in a folder may come from anybody. What is named by itself is followed.

    Args:
      places: a folder (all files in and below it: what is no image will be named as such; of a
        local one, notes, tables and films are passed over, see `FoundImages.others`), a pattern
        (`photos/**/*.jpg`), a text file (`.txt`) with one path or address a line (lines that begin
        with `#` are comments), or the path or address of one image. Folders, patterns and lists may
        be on any Beam filesystem; `file:///...` is a path of this machine.

    Raises:
      BeamfleetError: a place does not exist, or holds nothing.
    """
    found = [_found(place) for place in places]
    for place, here in zip(places, found, strict=True):
        if not here.uris and not here.refused:
            others = f": {said_others(here.others)}" if here.others else ""
            raise BeamfleetError(f"there are no images at {place}{others}")
    if not found:
        raise BeamfleetError("name a folder, a pattern, a list or an address of images")
    uris = [uri for here in found for uri in here.uris]
    key = path_key()
    each_once = _each_once(uris, key)
    taken = set(map(key, each_once))
    passed = (other for here in found for other in here.others)
    misnamed = [uri for uri in each_once if _printable(uri) != uri]
    return FoundImages(
        tuple(uri for uri in each_once if _printable(uri) == uri),
        (
            *((_printable(path), reason) for here in found for path, reason in here.refused),
            *((_printable(path), "its name is not UTF-8; rename it") for path in misnamed),
        ),
        tuple(o for o in _each_once(passed, key) if key(o) not in taken),
        tuple(_each_once((path for here in found for path in here.references), key)),
        tuple(folder for here in found for folder in here.folders),
        len(uris) - len(each_once),
        {uri: state for here in found for uri, state in here.states.items()},
    )


def said_others(others: Sequence[str]) -> str:
    """Says how many files are no images, and of which kinds by their names."""
    kinds = ", ".join(sorted({Path(path).suffix.lower() for path in others}))
    return f"{len(others)} other file{'s' * (len(others) > 1)} passed over ({kinds})"


def _found(place: str) -> FoundImages:
    place = _plain(place)
    if is_web(place):
        return FoundImages((place,))
    if place.endswith(".txt") and (is_remote(place) or Path(place).is_file()):
        return FoundImages(tuple(_listed(place)))
    if is_remote(place):
        return _remote(place)
    path = Path(place)
    if path.is_dir():
        return _below(path, ("**",), (place,))
    if path.exists() or path.is_symlink():
        return FoundImages((place,))
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    root = Path(*fixed)
    if len(fixed) < len(path.parts) and root.is_dir():
        return _below(root, path.parts[len(fixed) :])
    return FoundImages(())


def _below(root: Path, pattern: Sequence[str], folders: tuple[str, ...] = ()) -> FoundImages:
    """What lies below a folder and matches."""
    uris, references, others, refused = [], [], [], list[tuple[str, str]]()
    home = _real(root)
    for path, is_link in sorted(_walk(root, pattern, refused)):
        target = _real(path) if is_link else home
        if is_link and _is_folder(target):
            refused.append((path, "is a link to a folder, which is not followed"))
        elif not target.is_relative_to(home):
            there = os.path.exists(target)  # noqa: PTH110 - see _is_folder
            outside = f"is a link out of the folder, to {target}"
            refused.append((path, outside if there else "is a link to a file that does not exist"))
        elif folders and Path(path).parent == root and Path(path).name in REFERENCE_NAMES:
            references.append(path)
        elif folders and is_other(path):
            others.append(path)
        else:
            uris.append(path)
    return FoundImages(
        tuple(uris), tuple(refused), tuple(others), tuple(references), folders=folders
    )


def _walk(
    root: Path, pattern: Sequence[str], refused: list[tuple[str, str]]
) -> Iterator[tuple[str, bool]]:
    """Yields (path, is a link) of all that matches but folders.

    `os.walk` and `Path.glob` call themselves for each level: a deep tree ends them.
    """
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        inside = waiting.pop()
        try:
            entries = list(os.scandir(root.joinpath(*inside)))
        except OSError as error:
            refused.append((str(error.filename), f"cannot be listed: {error.strerror}"))
            continue
        for entry in entries:
            parts = (*inside, entry.name)
            if entry.name.startswith("."):
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and not (entry.is_symlink() and _is_folder(entry.path)):
                if _matches(parts, pattern):
                    yield str(root.joinpath(*parts)), entry.is_symlink()
            elif _matches(parts, pattern, begins=True):
                if is_folder:
                    waiting.append(parts)
                else:
                    yield str(root.joinpath(*parts)), True


def _matches(parts: Sequence[str], pattern: Sequence[str], begins: bool = False) -> bool:
    """Whether a path matches; or, where it only begins, may do so with more parts."""
    if not parts or not pattern:
        return begins if pattern else not parts
    if pattern[0] == "**":
        if len(pattern) == 1:
            return True
        return any(_matches(parts[i:], pattern[1:], begins) for i in range(len(parts) + 1))
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:], begins)


def _listed(place: str) -> Iterator[str]:
    try:
        with open_file(place) as file:
            lines = file.read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise BeamfleetError(f"{place} is no UTF-8 text with one image a line") from None
    except OSError as error:
        raise BeamfleetError(f"{place} cannot be read: {error}") from None
    for line in map(_plain, map(str.strip, lines)):
        if not line or line.startswith("#"):
            continue
        # As in a shell script beside the images: relative to the list.
        yield line if is_remote(line) or Path(line).is_absolute() else beside(place, line)


def _plain(place: str) -> str:
    """The path that a `file://` address of this machine means; what is no such address as it is."""
    found = _FILE_ADDRESS.match(place)
    return unquote(place[found.end() :]) if found else place


def _each_once(paths: Iterable[str], key: Callable[[str], str]) -> list[str]:
    first: dict[str, str] = {}
    for path in paths:
        first.setdefault(key(path), path)
    return list(first.values())


def path_key() -> Callable[[str], str]:
    """Makes a function of a path that is the same however its folder is written: `./a`, `b/../a`.

    A link is not the file that it leads to. Where folders lead to is looked up once for each.
    """
    real = cache(os.path.realpath)

    def key(uri: str) -> str:
        if is_remote(uri):
            return uri
        folder, slash, name = uri.rpartition("/")
        try:
            return f"{real(folder + slash)}/{name}"
        except ValueError:  # a null byte: no file has that name
            return uri

    return key


def beside(file: str, name: str) -> str:
    """The path of a file in the same folder as another one."""
    if is_remote(file):
        return f"{file.rpartition('/')[0]}/{name}"
    return str(Path(file).parent / name)


def _remote(place: str) -> FoundImages:
    from apache_beam.io.filesystems import FileSystems

    folder = place.rstrip("/")
    is_pattern = glob.has_magic(place)
    try:
        [below, itself] = FileSystems.match([place if is_pattern else f"{folder}/**", folder])
    except Exception as error:  # each kind of store has its own
        raise BeamfleetError(f"{place} cannot be listed: {error}") from None
    files = {
        str(file.path): f"{file.size_in_bytes} {file.last_updated_in_seconds}"
        for file in below.metadata_list or itself.metadata_list
    }
    if is_pattern or not below.metadata_list:
        return FoundImages(tuple(sorted(files)), states=files)
    inside = {path: path.removeprefix(f"{folder}/") for path in sorted(files)}
    visible = [path for path, name in inside.items() if "/." not in f"/{name}"]
    references = tuple(path for path in visible if inside[path] in REFERENCE_NAMES)
    uris = tuple(path for path in visible if inside[path] not in REFERENCE_NAMES)
    return FoundImages(uris, references=references, folders=(folder,), states=files)


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))  # `Path.resolve` raises where links go in a circle


def _is_folder(path: str | Path) -> bool:
    """`Path.is_dir` raises where nobody may look and for names that no file can have."""
    return os.path.isdir(path)  # noqa: PTH112


def _printable(path: str) -> str:
    """The path as it is, or with marks where its bytes are no UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode()
