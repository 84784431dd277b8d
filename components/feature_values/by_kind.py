"""Rows of JSON in parts whose columns are each of one kind, so that no row changes another.

Of numbers beside text a frame makes text, of 9007199254740993 beside 2.0 it makes ...992. What a
row becomes must not hang on the rows that happen to be in its block.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from components.feature_values.ordered import Ints

Row = dict[str, Any]
_KINDS: dict[type, pl.DataType] = {
    int: pl.Int64(), float: pl.Float64(), str: pl.String(), bool: pl.Boolean(),
}  # fmt: skip
_WIDE = (pl.Int128, pl.UInt128, pl.UInt64)
_BESIDE = {
    pl.Int64: r'[tf"\[{]',
    pl.Float64: r'(?:[tf"\[{]|-?\d+\s*[,}])',
    pl.String: r'[^"n\s]',
    pl.Boolean: r"[^tfn\s]",
    pl.List: r"[^\[n\s]",
    pl.Struct: r"[^{n\s]",
}
"""Of a column's type in polars: how a value begins that JSON says as something else."""
_ESCAPED_NAME = r'\\[^"]*"\s*:'
_PLAIN = re.compile(r"[\w $.:@/-]+", re.ASCII)


@dataclass(frozen=True)
class Part:
    """Rows whose columns are each of one kind."""

    rows: pl.DataFrame
    places: Ints
    """Of each row: its place among those given."""


def parts_of(rows: Sequence[Row]) -> list[Part]:
    """Parts rows by the kinds of their values; each part has the columns of all."""
    alike: dict[tuple[tuple[str, ...], tuple[type, ...]], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        alike[tuple(row), tuple(map(type, row.values()))].append(place)
    kinds: dict[str, set[type]] = {}
    for names, types in alike:
        for name, kind in zip(names, types, strict=True):
            kinds.setdefault(name, set()).update({kind} - {type(None)})
    mixed = [name for name, found in kinds.items() if len(found) > 1]
    groups: dict[tuple[type, ...], list[int]] = defaultdict(list)
    for (names, types), places in alike.items():
        own = dict(zip(names, types, strict=True))
        groups[tuple(own.get(name, type(None)) for name in mixed)] += places
    schema = {
        name: _KINDS.get(next(iter(found)), pl.Null()) if len(found) == 1 else pl.Null()
        for name, found in kinds.items()
    }
    return [
        part
        for places in groups.values()
        for part in _narrow(_part([rows[n] for n in sorted(places)], sorted(places), schema))
    ]


def with_columns_of(rows: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The columns that it lacks, or that are empty in it, in the types of the schema."""
    wanted = {**schema, **{name: k for name, k in rows.schema.items() if name not in schema}}
    return rows.select(
        pl.lit(None, kind).alias(name)
        if rows.schema.get(name, pl.Null()) == pl.Null()
        else pl.col(name)
        for name, kind in wanted.items()
    )


def is_uniform(text: str, rows: pl.DataFrame) -> bool:
    """Whether lines of JSON, of which polars made rows, have one kind of value in each column.

    May say no where they have: of values in nested columns or in text.
    """
    patterns = [_ESCAPED_NAME]
    for name, kind in rows.schema.items():
        if kind == pl.Null:
            continue
        beside = _BESIDE.get(kind.base_type())
        if beside is None or not _PLAIN.fullmatch(name):
            return False
        patterns.append(re.escape(json.dumps(name)).replace(r"\ ", " ") + r"\s*:\s*" + beside)
    whole = pl.Series([text])
    return not any(whole.str.contains(pattern).item() for pattern in patterns)


def _part(rows: list[Row], places: list[int], schema: Mapping[str, pl.DataType]) -> Part:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return Part(with_columns_of(frame, schema), np.array(places, dtype=np.int64))


def _narrow(part: Part) -> list[Part]:
    """Integers beyond 64 bits apart from the others."""
    wide = [name for name, kind in part.rows.schema.items() if kind in _WIDE]
    if not wide:
        return [part]
    narrow = part.rows.with_columns(pl.col(wide).cast(pl.Int64, strict=False))
    cut = [part.rows[name].is_not_null() & narrow[name].is_null() for name in wide]
    beyond = pl.DataFrame(cut).select(pl.any_horizontal(pl.all())).to_series()
    inside = ~beyond
    parts = [
        Part(narrow.filter(inside), part.places[inside.to_numpy()]),
        Part(part.rows.filter(beyond), part.places[beyond.to_numpy()]),
    ]
    return [one for one in parts if one.rows.height]
