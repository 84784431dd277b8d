"""`beamfleet init`: a small project that runs at once."""

import argparse
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from components.errors import BeamfleetError
from pipelines.own_project import own_files, read_table

SALES = "user_code/sales.py"


def main(arguments: argparse.Namespace) -> int:
    """Makes the project and says what to type next."""
    folder = Path(arguments.directory)
    if arguments.data:
        if not arguments.label:
            raise BeamfleetError("--data needs --label COLUMN: what is to be predicted?")
        code = make_own_project(folder, Path(arguments.data), arguments.label, arguments.entity)
        print(f"{folder} is ready:\n\n  beamfleet run {folder}\n")
        print(f"Then edit {folder / code}, and the steps in {folder / 'pipeline.py'}.")
        return 0
    if arguments.label or arguments.entity:
        raise BeamfleetError("--label and --entity are columns of --data CSV: name that too")
    make_project(folder)
    print(f"{folder} is ready:\n")
    print(f"  beamfleet run {folder}             runs it")
    print(f"  cd {folder} && python -m pytest    tests it")
    print(f"\nThen put your own rows into {folder}/data and edit {SALES}.")
    return 0


def make_project(folder: Path) -> None:
    """Makes the project of the example in the new or empty folder.

    Raises:
      BeamfleetError: the folder is not empty, or cannot be written.
    """
    with _filling(folder), resources.as_file(resources.files("pipelines") / "templates") as from_:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(from_ / "sales", folder, dirs_exist_ok=True, ignore=ignored)


def make_own_project(folder: Path, data: Path, label: str, entity: str | None) -> str:
    """Makes a project of the user's own rows: one model for each entity, or one for all.

    Returns:
      The file of the user's functions, in the folder.

    Raises:
      BeamfleetError: the rows cannot be read, a column is not there, or as for `make_project`.
    """
    table = read_table(data, label, entity)
    files = own_files(table, _name(folder), label, entity)
    with _filling(folder):
        (folder / "data").mkdir(parents=True)
        (folder / "user_code").mkdir()
        shutil.copyfile(data, folder / "data" / data.name)
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    return next(name for name in files if name.startswith("user_code/"))


def _name(folder: Path) -> str:
    """The pipeline's name, after the folder."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", folder.resolve().name).strip("-_")[:63] or "own"


@contextmanager
def _filling(folder: Path) -> Iterator[None]:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BeamfleetError(f"{folder} is not empty; choose a new folder")
        yield
    except OSError as error:
        raise BeamfleetError(f"{folder} cannot be made: {error.strerror or error}") from None
