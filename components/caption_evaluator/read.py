"""Reads the InferenceResult of an ensemble that captions images."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.caption_evaluator.config import MEASURED
from components.errors import BeamfleetError
from components.files import exists, open_file

PREDICTIONS, DEAD_LETTERS = "predictions", "dead_letters"
_NEEDED = {
    PREDICTIONS: ("image_uri", "variant", "captions", "versions"),
    DEAD_LETTERS: ("image_uri", "stage", "reason"),
}
_OURS = (*_NEEDED[PREDICTIONS], "reference", "sha256", "width", "height", "thumbnail")
"""Columns of predictions that say nothing of what is in an image."""
_OF_CAPTION = {
    "text": pa.types.is_string,
    "probability": pa.types.is_floating,
    "similarity": pa.types.is_floating,
    "place": pa.types.is_integer,
}


@dataclass(frozen=True)
class CaptionResult:
    """What is needed of a result: no pictures."""

    uri: str
    rows: pa.Table
    """image_uri, variant, captions, versions, reference (null where the source has none) and the
    slice columns that are there."""
    dead_letters: pa.Table
    """image_uri, stage, reason, and of variant and the slice columns those that are there."""
    missing: tuple[str, ...]
    """Slice columns that are not there."""
    summary: Mapping[str, Any]

    @property
    def skipped(self) -> str:
        """Why nothing was inferred, or empty."""
        return str(self.summary.get("skipped", ""))


def read_result(uri: str, slice_columns: Sequence[str]) -> CaptionResult:
    """Reads the folder of an InferenceResult, on any Beam filesystem.

    Images that nobody described have no columns to slice by either: where no image at all has a
    reference, slice columns may be missing.

    Raises:
      BeamfleetError: it is not whole, lacks a column, a column cannot be sliced by or has another
        type, or a row names no image.
    """
    summary = _read_summary(uri)
    wanted = ("variant", "reference", *slice_columns)
    rows, dead = (_read(uri, kind, wanted) for kind in (PREDICTIONS, DEAD_LETTERS))
    if "reference" not in rows.column_names:
        rows = rows.append_column("reference", pa.nulls(rows.num_rows, pa.string()))
    missing = tuple(column for column in slice_columns if column not in rows.column_names)
    if missing and rows.column("reference").null_count < rows.num_rows:
        raise BeamfleetError(
            f"{uri} has no columns {list(missing)} to slice by; it has {_names(uri)}. Name columns "
            "of the source"
        )
    _check_captions(uri, rows.schema.field("captions").type)
    for column in set(wanted) & set(rows.column_names):
        _check_words(uri, column, rows.schema.field(column).type)
    for table in (rows, dead):
        if nameless := table.column("image_uri").null_count:
            raise BeamfleetError(
                f"{uri}: {nameless} rows have no image_uri; run the inference anew"
            )
    if not summary.get("skipped"):
        _check_counts(uri, summary, rows, dead)
    return CaptionResult(uri, rows, dead, missing, summary)


def source_columns(uri: str) -> tuple[str, ...]:
    """Columns of words or whole numbers that the source gave its images, sorted."""
    kinds = {}
    for path in _paths(uri, PREDICTIONS)[:1]:
        with open_file(path) as file:
            kinds = {field.name: field.type for field in pq.read_schema(file)}
    return tuple(
        sorted(n for n, kind in kinds.items() if n not in {*_OURS, *MEASURED} and _is_word(kind))
    )


def _read_summary(uri: str) -> dict[str, Any]:
    path = f"{uri}/summary.json"
    if not exists(path):
        raise BeamfleetError(
            f"{path} is missing: the result of an ensemble of captions was expected there; run the "
            "inference anew"
        )
    try:
        with open_file(path) as file:
            return dict(json.load(file))
    except ValueError:
        raise BeamfleetError(f"{path} is broken; run the inference anew") from None


def _read(uri: str, kind: str, wanted: Sequence[str]) -> pa.Table:
    """The rows of a kind, with the columns that are needed and of those wanted what is there."""
    tables = [_read_file(path, _NEEDED[kind], wanted) for path in _paths(uri, kind)]
    if not tables:  # no image at all was captioned, or none failed
        return _empty(_NEEDED[kind])
    try:
        return pa.concat_tables(tables, promote_options="default")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BeamfleetError(f"{uri}/{kind}: its files have different types: {error}") from None


def _paths(uri: str, kind: str) -> list[str]:
    from apache_beam.io.filesystems import FileSystems

    [match] = FileSystems.match([f"{uri}/{kind}/part-*.parquet"])
    return sorted(str(file.path) for file in match.metadata_list)


def _names(uri: str) -> list[str]:
    """All columns of the predictions."""
    with open_file(_paths(uri, PREDICTIONS)[0]) as file:
        return sorted(pq.read_schema(file).names)


def _read_file(path: str, needed: Sequence[str], wanted: Sequence[str]) -> pa.Table:
    with open_file(path) as file:
        parquet = pq.ParquetFile(file)
        there = parquet.schema_arrow.names
        if missing := [name for name in needed if name not in there]:
            raise BeamfleetError(f"{path} lacks the columns {missing}; it has {sorted(there)}")
        # Thumbnails are most of a file, and nobody looks at them here.
        return parquet.read(columns=[name for name in there if name in {*needed, *wanted}])


def _empty(names: Sequence[str]) -> pa.Table:
    kinds = {name: pa.null() if name == "captions" else pa.string() for name in names}
    return pa.table({name: pa.nulls(0, kind) for name, kind in kinds.items()})


def _is_word(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null)
    return any(test(kind) for test in tests)


def _check_words(uri: str, column: str, kind: pa.DataType) -> None:
    if not _is_word(kind):
        raise BeamfleetError(
            f"{uri}: the column {column!r} is {kind}; expected words or whole numbers"
        )


def _check_captions(uri: str, kind: pa.DataType) -> None:
    """A null type is of a column without any caption: its rows count as failed."""
    if pa.types.is_null(kind) or (pa.types.is_list(kind) and pa.types.is_null(kind.value_type)):
        return
    if not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
        raise BeamfleetError(f"{uri}: the column 'captions' is {kind}, not a list of structs")
    there = {field.name: field.type for field in kind.value_type}
    for name, test in _OF_CAPTION.items():
        if name not in there or not (test(there[name]) or pa.types.is_null(there[name])):
            raise BeamfleetError(
                f"{uri}: captions need the field {name!r}, as the ranker gives it; it is "
                f"{there.get(name, 'missing')}"
            )


def _check_counts(
    uri: str, summary: Mapping[str, Any], rows: pa.Table, dead_letters: pa.Table
) -> None:
    """Whatever came in came out, and is there."""
    found = (rows.num_rows, dead_letters.num_rows)
    told = [summary.get(name) for name in ("images_in", "images", "images_failed")]
    if told != [sum(found), *found]:
        raise BeamfleetError(
            f"{uri} is not whole: its summary tells of {told[0]} images in, {told[1]} captioned "
            f"and {told[2]} failed, and its files hold {found[0]} and {found[1]}; run the "
            "inference anew"
        )
