"""Writes parts of results aside, and moves them into place once all are there."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.ensemble_inferrer.rows import DEAD_LETTERS, PREDICTIONS, Row
from components.files import (
    exists,
    make_folder,
    move_into_place,
    open_file,
    write_json,
    write_parquet,
)

STAGED = ".staged"
_LIST = "parts.json"
_TYPES = {"versions": pa.map_(pa.string(), pa.string()), "reference": pa.string()}
"""What cannot be inferred, or not from empty cells."""

Part = tuple[str, str, str]
"""Kind, least key, name of the staged file."""


def write_parts(rows: Sequence[Row], uri: str) -> Iterator[Part]:
    """Writes the rows of each kind into a staged file; a repeated attempt makes another one."""
    for kind in (PREDICTIONS, DEAD_LETTERS):
        found = sorted((row for row in rows if row.kind == kind), key=lambda row: row.key)
        if found:
            name = f"{uuid.uuid4().hex}.parquet"
            write_parquet(f"{uri}/{STAGED}/{name}", _table(found))
            yield kind, found[0].key, name


def _table(rows: Sequence[Row]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row.values)  # not of the first row only
    columns = {name: [row.values.get(name) for row in rows] for name in names}
    return pa.table({n: pa.array(v, _TYPES.get(n)) for n, v in columns.items()})


def write_list(parts: Sequence[Part], uri: str) -> None:
    """Says which of the staged files count: those of failed attempts are not on the list."""
    write_json(f"{uri}/{STAGED}/{_LIST}", {"parts": sorted(parts)})


def commit(uri: str) -> dict[str, int]:
    """Moves the listed files into place, all of a kind with the same columns.

    Returns:
      Rows by kind.
    """
    with open_file(f"{uri}/{STAGED}/{_LIST}") as file:
        parts = json.load(file)["parts"]
    counts = {PREDICTIONS: 0, DEAD_LETTERS: 0}
    for kind in counts:
        names = [f"{uri}/{STAGED}/{name}" for found, _, name in parts if found == kind]
        for number, (path, rows) in enumerate(_alike(names)):
            target = f"{uri}/{kind}/part-{number:05d}-of-{len(names):05d}.parquet"
            _move(path, target)
            counts[kind] += rows
    FileSystems.delete([f"{uri}/{STAGED}"])
    return counts


def clear(uri: str) -> None:
    """Removes what an earlier attempt at the same artifact left."""
    for kind in (PREDICTIONS, DEAD_LETTERS, STAGED):
        if exists(f"{uri}/{kind}"):
            FileSystems.delete([f"{uri}/{kind}"])


def frequent_reasons(uri: str, most: int = 3) -> dict[str, int]:
    """The most frequent reasons of the dead letters, with how often they come."""
    [match] = FileSystems.match([f"{uri}/{DEAD_LETTERS}/part-*"])
    reasons: Counter[str] = Counter()
    for found in match.metadata_list:
        with open_file(found.path) as file:
            reasons.update(pq.read_table(file, columns=["reason"]).column(0).to_pylist())
    return dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))[:most])


def _alike(paths: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Each file and its rows; one whose columns had no value, or other ones, is written anew."""
    schemas = [_read_schema(path) for path in paths]
    if not schemas:
        return
    common = pa.unify_schemas([schema for schema, _ in schemas], promote_options="permissive")
    for path, (schema, rows) in zip(paths, schemas, strict=True):
        if schema != common:
            with open_file(path) as file:
                table = pq.read_table(file)
            missing = [field for field in common if field.name not in table.column_names]
            for field in missing:
                table = table.append_column(field, pa.nulls(table.num_rows, field.type))
            write_parquet(path, table.select(common.names).cast(common))
        yield path, rows


def _read_schema(path: str) -> tuple[pa.Schema, int]:
    with open_file(path) as file:
        found = pq.ParquetFile(file)
        return found.schema_arrow, found.metadata.num_rows


def _move(path: str, target: str) -> None:
    make_folder(target.rpartition("/")[0])
    move_into_place(path, target)
