"""Turns one block of a source into the rows of each split."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import BeamfleetError
from components.example_gen.column_types import Kind, convert, natural_kind
from components.example_gen.overlap import Hashes
from components.example_gen.parts import (
    Part,
    Reader,
    Reject,
    natural_kinds,
    typed_part,
    without_rows,
)
from components.example_gen.source import GivenSplit, IngestConfig
from components.example_gen.splits import GAP, NO_TIME, hash_rows, split_rows
from components.user_function import load_function


@dataclass(frozen=True)
class PreparedRows:
    """The rows of one block, typed, cleaned and split."""

    splits: Mapping[str, pa.Table]
    """Plain columns of the same types in every block."""
    rows_in: int
    rows_gap: int
    rejects: tuple[Reject, ...]
    hashes: Mapping[str, Hashes] = field(default_factory=dict)
    """Hash of each row by split, where the splits are given apart."""


class RowPreparation:
    """Function from (split or "", block) to PreparedRows; safe to call from many threads."""

    def __init__(
        self,
        reader: Reader,
        config: IngestConfig,
        types: Mapping[str, Kind],
        cleaned_types: Mapping[str, Kind],
    ) -> None:
        """Takes the types to read in, and those that cleaned columns have to have."""
        self._reader = reader
        self._config = config
        self._types = types
        self._cleaned_types = cleaned_types
        self._clean = load_function(config.clean) if config.clean else None

    def __call__(self, item: tuple[str, Any]) -> PreparedRows:
        split, block = item
        part = self._reader.parse(block, self._types)
        if self._clean is not None:
            part = self._cleaned(part)
        part = _finite(replace(part, table=_uniform(part.table)))
        table = part.table
        rows_in = table.num_rows + len(part.rejects)
        if isinstance(self._config.splits, GivenSplit):
            hashes = {split: hash_rows(table)}
            return PreparedRows({split: table}, rows_in, 0, part.rejects, hashes)
        masks = split_rows(table, self._config.splits)
        splits = {name: table.filter(masks[name]) for name in self._config.splits.names}
        rows_gap = int(np.count_nonzero(masks[GAP])) if GAP in masks else 0
        rejects = part.rejects + _rows_without_time(part, masks)
        return PreparedRows(splits, rows_in, rows_gap, rejects)

    def _cleaned(self, part: Part) -> Part:
        """Runs the user's function on plain words, which every compute function takes."""
        table = part.table
        plain = pa.table({n: _decoded(table[n]) for n in table.column_names})
        cleaned = self._clean(plain) if self._clean else plain
        if not isinstance(cleaned, pa.Table) or cleaned.num_rows != table.num_rows:
            got = f"{cleaned.num_rows} rows" if isinstance(cleaned, pa.Table) else type(cleaned)
            raise BeamfleetError(
                f"{self._config.clean} returned {got} for a table of {table.num_rows} rows; it "
                "must return a pyarrow Table with the same rows in the same order"
            )
        if not self._cleaned_types:
            return replace(part, table=cleaned)
        types = natural_kinds(cleaned, self._config.clean)
        types |= {n: k for n, k in self._cleaned_types.items() if n in types}
        return typed_part(cleaned, types, self._cleaned_types, part.places(), part.rejects)


def _uniform(table: pa.Table) -> pa.Table:
    """Gives each column one array of int64, double or dictionary-encoded words."""
    return pa.table({n: _uniform_column(n, table[n]) for n in table.column_names})


def _uniform_column(name: str, column: pa.ChunkedArray) -> pa.Array:
    kind = natural_kind(column.type, f"column {name!r}")
    array, unfit = convert(column.combine_chunks(), kind)
    if unfit is not None:
        raise BeamfleetError(f"column {name!r} has values of type {column.type} that are no {kind}")
    if pa.types.is_string(array.type):
        array = array.dictionary_encode()
    return array


def _finite(part: Part) -> Part:
    """Rejects rows with an infinite number, on which no model can be trained."""
    reasons: dict[int, str] = {}
    for field_ in part.table.schema:
        if pa.types.is_floating(field_.type):
            column = part.table[field_.name]
            for row in np.flatnonzero(pc.fill_null(pc.is_inf(column), False)).tolist():
                reason = f"column {field_.name!r}: {column[row]} is not a finite number"
                reasons.setdefault(row, reason)
    return without_rows(part, reasons, shown=part.table)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _rows_without_time(part: Part, masks: Mapping[str, pa.Array]) -> tuple[Reject, ...]:
    rows = np.flatnonzero(masks[NO_TIME]).tolist() if NO_TIME in masks else []
    if not rows:
        return ()
    places = part.places()
    return tuple(
        places.reject(part.table, row, "the time is missing or unreadable") for row in rows
    )
