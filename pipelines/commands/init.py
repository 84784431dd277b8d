"""`beamfleet init`: a small project that runs at once."""

import argparse
import shutil
from importlib import resources
from pathlib import Path

from components.errors import BeamfleetError


def main(arguments: argparse.Namespace) -> int:
    """Copies the template and says what to type next."""
    folder = Path(arguments.directory)
    make_project(folder)
    print(f"{folder} is ready:\n")
    print(f"  beamfleet run {folder}             runs it")
    print(f"  cd {folder} && python -m pytest    tests it")
    print(f"\nThen put your own rows into {folder}/data and edit user_code/sales.py.")
    return 0


def make_project(folder: Path) -> None:
    """Makes the project in a new or empty folder.

    Raises:
      BeamfleetError: the folder is not empty, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BeamfleetError(f"{folder} is not empty; choose a new folder")
        with resources.as_file(resources.files("pipelines") / "templates") as template:
            shutil.copytree(
                template, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
    except OSError as error:
        raise BeamfleetError(f"{folder} cannot be made: {error.strerror or error}") from None
