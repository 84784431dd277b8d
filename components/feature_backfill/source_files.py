"""The history of a source: its files, in pieces that can be read each for itself."""

import glob
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import BeamfleetError
from components.feature_backfill.json_lines import Read, json_batches, json_parts
from components.feature_values.ordered import Ints
from components.features.source import JsonLines, Source
from components.files import sha256_of

PIECE_ROWS = 500_000
"""A piece is what is read again after a crash."""
BATCH_ROWS = 500_000
"""Rows that are in memory at once, for each worker."""
FilesState = dict[str, tuple[int, int, int]]
"""File -> inode, size, and time of its last change in nanoseconds."""
_NAMED = 5


@dataclass(frozen=True)
class Piece:
    """Rows of one file of a source."""

    source: int
    """Its place among the sources of the view."""
    path: str
    first_row: int = 0
    """Of the file, from 0."""
    groups: tuple[int, ...] | None = None
    """Row groups of a Parquet file; None: the whole file of JSON lines."""
    rows: int = 0
    """About how many."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a file."""

    rows: pl.DataFrame
    numbers: Ints
    """Of each row: its number in the file, from 0; blank lines count."""
    unreadable: pl.DataFrame
    """`row` and `reason` of lines that are no JSON objects."""


def files_of(source: Source) -> list[Path]:
    """The files of a source's history, in the order of their names.

    Raises:
      BeamfleetError: there are none.
    """
    path = Path(source.batch.path)
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file() and _seen(file, path)]
    else:
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    if not found:
        raise BeamfleetError(
            f"source {source.name!r} has no files at {source.batch.path}; expected a file, a "
            "folder or a pattern"
        )
    return sorted(found)


def data_fingerprint(sources: Sequence[Source]) -> dict[str, str]:
    """SHA-256 of each file, by source and place."""
    named = [(f"{source.name}:{file}", file) for source in sources for file in files_of(source)]
    with ThreadPoolExecutor() as pool:
        return dict(pool.map(lambda one: (one[0], sha256_of(one[1])), named))


def files_state(sources: Sequence[Source]) -> FilesState:
    """What tells without reading it whether a file is another than before."""
    found = ((file, file.stat()) for source in sources for file in files_of(source))
    return {str(file): (one.st_ino, one.st_size, one.st_mtime_ns) for file, one in found}


def check_unchanged(sources: Sequence[Source], before: FilesState) -> None:
    """Raises BeamfleetError, naming them, if files are not as they were `before` they were read."""
    after = files_state(sources)
    if changed := sorted({file for file, _ in before.items() ^ after.items()}):
        raise BeamfleetError(
            f"source {', '.join(dict.fromkeys(one.name for one in sources))}: "
            f"{', '.join(changed[:_NAMED])} came, went or changed while the files were read; "
            "run again when nobody writes them"
        )


def pieces_of(sources: Sequence[Source]) -> list[Piece]:
    """All files in pieces, the same each time."""
    return [
        piece
        for place, source in enumerate(sources)
        for file in files_of(source)
        for piece in _pieces(place, source, str(file))
    ]


def batches_of(piece: Piece, source: Source) -> Iterator[Batch]:
    """Reads a piece.

    Raises:
      BeamfleetError: the file cannot be read.
    """
    yield from _read(piece, source, json_batches)


def batches_by_kind(piece: Piece, source: Source) -> Iterator[Batch]:
    """Like `batches_of`; lines of JSON are parted by the kinds of their values, see `parts_of`."""
    yield from _read(piece, source, json_parts)


def _read(piece: Piece, source: Source, lines: Callable[[str], Iterator[Read]]) -> Iterator[Batch]:
    try:
        yield from _batches(piece, lines)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise BeamfleetError(
            f"source {source.name!r}: {piece.path} cannot be read as "
            f"{type(source.batch).__name__}: {error}"
        ) from error


def _seen(file: Path, folder: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)


def _pieces(place: int, source: Source, path: str) -> Iterator[Piece]:
    if isinstance(source.batch, JsonLines):
        with Path(path).open("rb") as file:
            if file.read(4) == b"PAR1":
                raise BeamfleetError(
                    f"source {source.name!r}: {path} is a Parquet file, declared as JsonLines; "
                    "write Parquet(...)"
                )
        yield Piece(place, path, rows=Path(path).stat().st_size // 100)
        return
    try:
        meta: Any = pq.ParquetFile(path).metadata
    except (OSError, pa.ArrowException) as error:
        raise BeamfleetError(
            f"source {source.name!r}: {path} is no Parquet file: {error}; of files of JSON lines "
            "write JsonLines(...); read others, such as CSV, with polars, and write them as "
            "Parquet: pl.read_csv(file).write_parquet(...)"
        ) from error
    first, rows, groups = 0, 0, []
    for group in range(meta.num_row_groups):
        groups.append(group)
        rows += meta.row_group(group).num_rows
        if rows >= PIECE_ROWS or group == meta.num_row_groups - 1:
            yield Piece(place, path, first, tuple(groups), rows)
            first, rows, groups = first + rows, 0, []


def _batches(piece: Piece, lines: Callable[[str], Iterator[Read]]) -> Iterator[Batch]:
    if piece.groups is None:
        for rows, numbers, unreadable in lines(piece.path):
            yield Batch(rows, numbers, unreadable)
        return
    first = piece.first_row
    none = pl.DataFrame(schema={"row": pl.Int64, "reason": pl.String})
    with pq.ParquetFile(piece.path) as file:
        for batch in file.iter_batches(BATCH_ROWS, row_groups=list(piece.groups)):
            numbers = np.arange(first, first + batch.num_rows)
            yield Batch(pl.DataFrame(pl.from_arrow(batch)), numbers, none)
            first += batch.num_rows
