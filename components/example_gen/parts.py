"""What every reader yields: typed rows, and the rows that could not be read."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from components.example_gen.column_types import ARROW_TYPE, Kind, convert, kind_of_values


@dataclass(frozen=True)
class Reject:
    """A row that could not be read."""

    file: str
    line: int
    """Line of the file on which the row starts (row or record number in binary files), from 1."""
    reason: str
    text: str
    """The row as it stands in the file, or its values."""


@dataclass(frozen=True)
class RowPlaces:
    """Where the rows of a table come from, for rows that have to be rejected."""

    file: str
    lines: Sequence[int]
    """Line (row or record number in binary files) of each row of the table."""
    texts: Sequence[str] | None = None
    """Each row as it stands in the file; None: its values are shown."""

    def reject(self, table: pa.Table, row: int, reason: str) -> Reject:
        """Returns the reject for one row of the table."""
        if self.texts is not None:
            text = self.texts[row]
        else:
            text = str(table.slice(row, 1).to_pylist()[0])
        return Reject(self.file, self.lines[row], reason, text)

    def without(self, rows: Collection[int]) -> "RowPlaces":
        """Returns the places of the rows that are left when some are taken out."""
        kept = [row for row in range(len(self.lines)) if row not in rows]
        texts = None if self.texts is None else [self.texts[row] for row in kept]
        return RowPlaces(self.file, [self.lines[row] for row in kept], texts)


@dataclass(frozen=True)
class Part:
    """Some rows of one file, in file order."""

    table: pa.Table
    """Plain columns: int64, double, string or dictionary-encoded string."""
    rejects: tuple[Reject, ...]
    places: Callable[[], RowPlaces]
    """Where the table's rows come from; a function because it is rarely needed and slow."""


class TypesDiffer(Exception):  # noqa: N818 - a signal between reader and ingest, not an error
    """A value does not fit the type that was inferred from a sample of the rows."""


class Reader(Protocol):
    """Reads the files of one format in blocks that can be parsed in parallel."""

    def blocks(self, files: Sequence[str]) -> Iterator[Any]:
        """Yields the blocks of all files in order; cheap and sequential."""

    def sample(self, block: Any) -> Any:
        """Returns the head of a block, small enough to guess types from."""

    def infer(self, block: Any) -> dict[str, Kind]:
        """Returns each column's narrowest type in this block."""

    def parse(self, block: Any, types: Mapping[str, Kind]) -> Part:
        """Returns the rows of a block; raises TypesDiffer; safe to call from many threads."""


def typed_part(
    table: pa.Table,
    types: Mapping[str, Kind],
    given: Collection[str],
    places: RowPlaces,
    earlier: Sequence[Reject] = (),
    stated: Collection[str] = (),
) -> Part:
    """Converts columns to their types and rejects the rows whose values do not fit.

    Args:
      table: plain columns of any type; words may be string, binary or dictionaries of them.
      types: type of every column of the output, in output order; missing columns become null.
      given: columns whose type is given: a value that does not fit rejects its row.
      places: where the rows come from.
      earlier: rows of the same block that were rejected before.
      stated: those whose type the user gave, and no schema: any spelling of a number fits.

    Raises:
      TypesDiffer: the table has a column that `types` lacks, or a value does not fit an inferred
        type.
    """
    if set(table.column_names) - set(types):
        raise TypesDiffer(f"{places.file} has columns {table.column_names}")
    columns: dict[str, pa.Array] = {}
    reasons: dict[int, str] = {}
    for name, kind in types.items():
        if name not in table.column_names:
            columns[name] = pa.nulls(table.num_rows, ARROW_TYPE[kind])
            continue
        columns[name], unfit = convert(
            table[name].combine_chunks(), kind, any_spelling=name in stated
        )
        if unfit is None:
            continue
        if kind != "string" and name not in given:
            raise _misfit(table[name], int(np.argmax(unfit)), name, kind, places)
        for row in np.flatnonzero(unfit).tolist():
            reasons.setdefault(row, _reason(name, table[name][row].as_py(), kind))
    part = Part(pa.table(columns), tuple(earlier), lambda: places)
    return without_rows(part, reasons, shown=table)


def without_rows(part: Part, reasons: Mapping[int, str], shown: pa.Table) -> Part:
    """Rejects rows of a part (row -> reason); `shown` has their values as they were stored."""
    if not reasons:
        return part
    places = part.places()
    rejects = [places.reject(shown, row, reason) for row, reason in reasons.items()]
    keep = np.ones(part.table.num_rows, dtype=bool)
    keep[list(reasons)] = False
    return Part(
        part.table.filter(pa.array(keep)),
        tuple(sorted([*part.rejects, *rejects], key=lambda reject: reject.line)),
        lambda: places.without(reasons),
    )


def natural_kinds(table: pa.Table, file: str) -> dict[str, Kind]:
    """Returns the type that each stored column becomes."""
    return {
        name: kind_of_values(table[name], f"{file}: column {name!r}") for name in table.column_names
    }


def _misfit(
    column: pa.ChunkedArray, row: int, name: str, kind: Kind, places: RowPlaces
) -> TypesDiffer:
    return TypesDiffer(
        f"{places.file} line {places.lines[row]}: {_reason(name, column[row].as_py(), kind)}, "
        f"which the other rows need (this one is stored as {column.type})"
    )


def _reason(name: str, value: object, kind: Kind) -> str:
    if kind == "string":
        return f"column {name!r} is not valid UTF-8"
    word = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return f"column {name!r}: {word[:80]!r} is not of type {kind}"
