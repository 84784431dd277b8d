"""Training sets on disk: numbered, whole or absent, and never changed.

`root/services/<service>/v<version>/splits/<number>/` has train.parquet, validation.parquet and
test.parquet (features as they are), rejects.parquet, fitted.json (what the service's
transformations learnt from train) and manifest.json (counts, times, fingerprints, SHA-256).
"""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.features.service import FeatureService
from components.files import sha256_of, write_json

MANIFEST, FITTED = "manifest.json", "fitted.json"


def folder_of(root: Path, service: FeatureService) -> Path:
    """Where the splits of a service's version are."""
    return root / "services" / service.name / f"v{service.version}" / "splits"


def numbers(root: Path, service: FeatureService) -> list[int]:
    """The splits that there are, in order."""
    folder = folder_of(root, service)
    found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in found if name.isdecimal())


def write_splits(
    root: Path,
    service: FeatureService,
    frames: Mapping[str, pl.DataFrame],
    fitted: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> int:
    """Writes a new training set, and gives its number.

    Others may write at the same time: each gets a number of its own.

    Args:
      frames: File name without its end -> rows.
    """
    folder = folder_of(root, service)
    staged = folder / f".{uuid.uuid4().hex}.tmp"
    staged.mkdir(parents=True)
    for name, frame in frames.items():
        frame.write_parquet(staged / f"{name}.parquet", compression="zstd")
    write_json(str(staged / FITTED), fitted)
    hashes = {path.name: sha256_of(path) for path in sorted(staged.iterdir())}
    number = max(numbers(root, service), default=0) + 1
    while True:
        write_json(str(staged / MANIFEST), {**manifest, "number": number, "sha256": hashes})
        try:
            staged.rename(folder / str(number))
        except OSError:  # another one was quicker
            if not (folder / str(number)).exists():
                raise
            number += 1
        else:
            return number


def read_manifest(root: Path, service: FeatureService, number: int) -> dict[str, Any]:
    """What is known of a training set.

    Raises:
      BeamfleetError: there is none of this number, or it cannot be read.
    """
    path = folder_of(root, service) / str(number) / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        there = ", ".join(map(str, numbers(root, service))) or "none"
        raise BeamfleetError(
            f"{_where(service)}: no splits {number} in {root}; there are {there}"
        ) from None
    except ValueError as error:
        raise BeamfleetError(f"{path} cannot be read: {error}; make the splits again") from None
    return manifest


def read_split(root: Path, service: FeatureService, number: int, name: str) -> pl.DataFrame:
    """The rows of a split, as they were written.

    Raises:
      BeamfleetError: there is none, or its file was changed since.
    """
    path = _checked(root, service, number, f"{name}.parquet")
    return pl.read_parquet(path, glob=False)


def read_fitted(root: Path, service: FeatureService, number: int) -> dict[str, Any]:
    """What the transformations learnt from its training split.

    Raises:
      BeamfleetError: there is no such training set, or its file was changed since.
    """
    fitted: dict[str, Any] = json.loads(_checked(root, service, number, FITTED).read_bytes())
    return fitted


def _checked(root: Path, service: FeatureService, number: int, name: str) -> Path:
    expected = read_manifest(root, service, number)["sha256"][name]
    path = folder_of(root, service) / str(number) / name
    if not path.is_file() or sha256_of(path) != expected:
        raise BeamfleetError(f"{_where(service)}: {path} is not as it was written; make new splits")
    return path


def _where(service: FeatureService) -> str:
    return f"service {service.name!r} version {service.version}"
