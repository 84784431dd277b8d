"""Whose a module is: the user's, of an installed package, Python's or ours."""

import enum
import importlib.metadata
import sys
from functools import lru_cache
from pathlib import Path

_OURS = Path(__file__).parents[1]
_INSTALLED = {"site-packages", "dist-packages"}


class Origin(enum.Enum):
    """Whose code it is."""

    USER = "user"
    LIBRARY = "library"
    PYTHON = "python"
    OURS = "beamfleet"


def origin(module_name: str) -> Origin:
    """Whose module it is; one without a file (a notebook's) is the user's."""
    return _origin(module_name, getattr(sys.modules.get(module_name), "__file__", None) or "")


@lru_cache(maxsize=1024)
def _origin(module_name: str, file: str) -> Origin:
    top = module_name.split(".")[0]
    if top == "__main__":
        return Origin.USER
    if top in sys.stdlib_module_names:
        return Origin.PYTHON
    if top == _OURS.name and (not file or _OURS in Path(file).parents):
        return Origin.OURS
    return Origin.LIBRARY if _INSTALLED & set(Path(file).parts) else Origin.USER


def library(module_name: str) -> str:
    """What a module belongs to: "polars 2", "python", "beamfleet".

    Of the version only what may change a meaning counts: 2 of 2.1.3, 0.67 of 0.67.1.
    """
    place = origin(module_name)
    if place in (Origin.PYTHON, Origin.OURS):
        return str(place.value)
    return _with_release(module_name.split(".")[0])


@lru_cache(maxsize=256)
def _with_release(top: str) -> str:
    try:
        version = importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        version = str(getattr(sys.modules.get(top), "__version__", ""))
    parts = version.split(".")
    return f"{top} {'.'.join(parts[:2]) if parts[0] == '0' else parts[0]}".rstrip()
