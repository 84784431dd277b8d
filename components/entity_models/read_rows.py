"""Reads rows to predict from a file, as ingestion read those that the models were trained on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.entity_models.key import typed_entity
from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError
from components.example_gen.column_types import ARROW_TYPE, Kind
from components.example_gen.csv_reader import CsvReader
from components.example_gen.parts import Reject
from components.example_gen.source import CsvSource

_ALLOWED: Mapping[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a string"),
    "int64": ((int,), "a whole number"),
    "double": ((int, float), "a number"),
    "entity": ((str, int, float), "a string or a number"),
}
_SHOWN_CHARACTERS = 60


def read_rows(file: Path, spec: ModelSpec) -> tuple[pa.Table, list[Reject]]:
    """Reads the entity columns and features from CSV with a header, or a JSON list of objects.

    Returns:
      (rows, entity columns + features) in the types of the spec, and the rows of CSV that could
      not be read.

    Raises:
      BeamfleetError: the file cannot be read or lacks a column, or a value in JSON does not fit.
    """
    return (_read_json(file, spec), []) if file.suffix == ".json" else _read_csv(file, spec)


def _read_csv(file: Path, spec: ModelSpec) -> tuple[pa.Table, list[Reject]]:
    needed: dict[str, Any] = dict((*spec.entities, *spec.features))
    reader = CsvReader(CsvSource((str(file),), types=tuple(needed.items())))
    tables: list[pa.Table] = []
    rejects: list[Reject] = []
    for block in reader.blocks([str(file)]):
        types: dict[str, Kind] = dict.fromkeys(reader.infer(reader.sample(block)), "string")
        part = reader.parse(block, types | needed)
        tables.append(part.table.select(list(needed)))
        rejects += part.rejects
    if not tables:
        raise BeamfleetError(f"{file} holds no rows below its header, which must name {[*needed]}")
    return pa.concat_tables(tables).unify_dictionaries(), rejects


def _read_json(file: Path, spec: ModelSpec) -> pa.Table:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BeamfleetError(f"{file} cannot be read as JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
        raise BeamfleetError(f"{file}: a list of one or more objects expected")
    try:
        columns = {
            name: typed_entity(_column(rows, name, "entity"), name, kind)
            for name, kind in spec.entities
        }
        columns |= {name: _column(rows, name, kind) for name, kind in spec.features}
    except BeamfleetError as error:
        raise BeamfleetError(f"{file}: {error}") from None
    return pa.table(columns)


def _column(rows: Sequence[Mapping[str, Any]], name: str, kind: str) -> pa.Array:
    allowed, words = _ALLOWED[kind]
    for number, row in enumerate(rows):
        if name not in row:
            raise BeamfleetError(f"row {number} lacks {name!r}; {words} or null expected")
        value = row[name]
        if value is not None and type(value) not in allowed:
            shown = repr(value)[:_SHOWN_CHARACTERS]
            raise BeamfleetError(f"row {number} of {name!r} is {shown}, {words} expected")
    try:
        return pa.array([row[name] for row in rows], ARROW_TYPE.get(kind))
    except (ValueError, TypeError, OverflowError) as error:
        raise BeamfleetError(f"column {name!r}, {words} expected: {error}") from None
