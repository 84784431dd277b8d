"""The files of a source's history, in order, and a fingerprint of what is in them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from components.errors import BeamfleetError
from components.features.source import Parquet, Source
from components.matching import match


def files_of(source: Source) -> list[Path]:
    """In the order of their names; hidden ones do not count.

    Raises:
      BeamfleetError: there is none.
    """
    given = source.batch.path
    if Path(given).is_dir():
        found = [path for path in Path(given).rglob("*") if path.is_file()]
    else:
        found = [Path(one.path) for one in match(given)]
    files = sorted(path for path in found if not path.name.startswith((".", "_")))
    if not files:
        raise BeamfleetError(
            f"source {source.name!r}: {given} is empty, does not exist, or matches no file"
        )
    return files


def rows_of(source: Source) -> Iterator[tuple[str, pl.DataFrame]]:
    """Name and rows of each file.

    Raises:
      BeamfleetError: there is none, or one cannot be read.
    """
    for path in files_of(source):
        try:
            if isinstance(source.batch, Parquet):
                rows = pl.read_parquet(path, glob=False)
            else:
                rows = pl.read_ndjson(path, infer_schema_length=None)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise BeamfleetError(
                f"source {source.name!r}: {path} cannot be read: {error}"
            ) from None
        yield str(path), rows


def data_fingerprint(source: Source) -> str:
    """SHA-256 of the bytes of its files, in order."""
    digest = hashlib.sha256()
    for path in files_of(source):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
