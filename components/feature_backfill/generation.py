"""Where a view's history lies: generations in folders of their own, and one that readers see.

root/offline/<view>/v<version>/current.json      the generation that readers see; moved last
root/offline/<view>/v<version>/<generation>/     manifest.json, rejects.parquet,
    road.txt                                     who made it: threads or Beam
    events/<piece>-<n>.arrow                     keyed events, a record batch a shard
    log/shard-<n>/part-<m>.parquet               the change log
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.features.view import FeatureView
from components.files import write_json, write_whole

_CURRENT, _MANIFEST, _ROAD = "current.json", "manifest.json", "road.txt"


def folder_of(view: FeatureView, root: Path) -> Path:
    """The folder of a version of a view."""
    return Path(root) / "offline" / view.name / f"v{view.version}"


def current_file(view: FeatureView, root: Path) -> Path:
    """The file that says which generation readers see."""
    return folder_of(view, root) / _CURRENT


def current(view: FeatureView, root: Path) -> Path:
    """The folder of the generation that readers see.

    Raises:
      BeamfleetError: the view has no history yet.
    """
    file = current_file(view, root)
    try:
        name = json.loads(file.read_text())["generation"]
    except FileNotFoundError:
        raise BeamfleetError(
            f"view {view.name!r} version {view.version} has no history in {root}; backfill it first"
        ) from None
    return file.parent / str(name)


def manifest_of(generation: Path) -> dict[str, Any]:
    """What was written about a generation when it was whole."""
    return json.loads((generation / _MANIFEST).read_text())  # type: ignore[no-any-return]


def is_whole(generation: Path) -> bool:
    """Whether all of it was written."""
    return (generation / _MANIFEST).exists()


def begin(generation: Path, road: str) -> None:
    """Makes its folders, or goes on in those that the same road has begun."""
    begun = generation / _ROAD
    if generation.exists() and (not begun.exists() or begun.read_text() != road):
        shutil.rmtree(generation)
    (generation / "events").mkdir(parents=True, exist_ok=True)
    (generation / "log").mkdir(exist_ok=True)
    write_whole(str(begun), road.encode())


def finish(generation: Path, manifest: dict[str, Any]) -> None:
    """Says that all of it is written."""
    write_json(str(generation / _MANIFEST), manifest)


def publish(generation: Path) -> None:
    """Lets readers see it; keeps the one that they saw before, for those who still read it."""
    folder, pointer = generation.parent, generation.parent / _CURRENT
    before = json.loads(pointer.read_text())["generation"] if pointer.exists() else None
    if before == generation.name:
        return
    write_json(str(pointer), {"generation": generation.name})
    for old in folder.iterdir():
        if old.is_dir() and old.name not in (generation.name, before):
            shutil.rmtree(old)


@contextmanager
def locked(view: FeatureView, root: Path) -> Iterator[None]:
    """Only one backfill of a view writes at a time; a killed one holds no lock.

    Raises:
      BeamfleetError: another one does.
    """
    folder = folder_of(view, root)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BeamfleetError(
                f"view {view.name!r} version {view.version} is being backfilled by another "
                f"process in {root}; wait for it"
            ) from None
        yield
