"""Ensembles' requests to records, and what the stages gave to responses.

A request has one input for each column that the stages read. `image` is BYTES, each value the
base64 of a JPEG, PNG, WebP or GIF file; other columns are words (BYTES) or numbers:

    {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["/9j/4AAQ..."]}]}

The response has an output for each stage and `versions`, all BYTES. Each value is a JSON document,
such as `[{"text": "a red square", "probability": 0.43}]` of a stage that gives a tuple of
dataclasses. NaN and infinite numbers are null there.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from components.ensemble.record import Record
from components.errors import BeamfleetError
from components.images.decode import MAX_PIXELS, ImageError, decode
from components.model_server.requests import (
    FLOATING,
    IMAGE,
    WHOLE,
    RequestError,
    Tensor,
    by_name,
    check_time,
    row_count,
    to_tensor,
    values,
)

VERSIONS = "versions"
_READ = "read"
_DATATYPES = ("BYTES", *WHOLE, *FLOATING)
_MAX_REQUEST_PIXELS = MAX_PIXELS
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def to_records(inputs: Sequence[Tensor], names: Sequence[str], max_rows: int) -> list[Record]:
    """Turns the input tensors of a request into records; a missing value is not in its record.

    Args:
      inputs: as the client sent them.
      names: of the columns that the ensemble reads.
      max_rows: that are taken.

    Returns:
      (rows) with images as they were sent; see `decoded`.

    Raises:
      RequestError: 400 for columns, shapes or types that are not taken; 413 for too many rows.
    """
    given = by_name(inputs, names)
    rows = row_count(given.values(), max_rows)
    columns = [values(t, ("BYTES",) if n == IMAGE else _DATATYPES, rows) for n, t in given.items()]
    return [
        Record(f"row {place}", {n: v for n, v in zip(given, row, strict=True) if v is not None})
        for place, row in enumerate(zip(*columns, strict=True))
    ]


def decoded(records: Iterable[Record], until: float) -> list[Record]:
    """Turns base64 into pixels; an image that cannot be read is its record's failure.

    Raises:
      RequestError: 413, the images have more pixels together than are held at a time; 504, it is
        later than `until`, by `time.monotonic`.
    """
    done: list[Record] = []
    pixels = 0
    for record in records:
        check_time(until)
        done.append(_decoded(record))
        if IMAGE in record.values and done[-1].failure is None:
            height, width, _ = done[-1].values[IMAGE].shape
            pixels += height * width
        if pixels > _MAX_REQUEST_PIXELS:
            raise RequestError(
                413,
                f"the images of one request have more than {_MAX_REQUEST_PIXELS} pixels together; "
                "send fewer at once",
            )
    return done


def _decoded(record: Record) -> Record:
    if IMAGE not in record.values:
        return record
    try:
        content = base64.b64decode(record.values[IMAGE], validate=True)
    except (binascii.Error, ValueError):
        return record.failed(_READ, "not base64 (the standard alphabet, padded, in one line)")
    return with_pixels(record, content)


def with_pixels(record: Record, content: bytes) -> Record:
    """The record with the pixels of an image file, or with the reason why there are none."""
    try:
        return record.with_prediction(IMAGE, decode(content), "")
    except ImageError as error:
        return record.failed(_READ, str(error))


def to_request(table: pa.Table, names: Sequence[str]) -> dict[str, Any]:
    """Writes rows as the body of a request, the way a client does.

    Args:
      table: (rows, columns that the ensemble reads and any more) plain columns; images as files.
      names: of the columns that the ensemble reads.
    """
    return {"inputs": [_tensor(name, table.column(name)) for name in names]}


def _tensor(name: str, column: pa.ChunkedArray) -> dict[str, Any]:
    if name != IMAGE:
        return to_tensor(name, column)
    files = column.to_pylist()
    data = [None if file is None else base64.b64encode(file).decode() for file in files]
    return {"name": name, "shape": [len(data)], "datatype": "BYTES", "data": data}


def input_tensors(names: Sequence[str]) -> list[dict[str, Any]]:
    """Names, datatypes and shapes of what a request needs; -1 is the number of rows.

    The handlers do not say what they take: `parameters` has what the server lets through.
    """
    image = {"content": "base64 of a JPEG, PNG, WebP or GIF file"}
    other = {"datatypes": ", ".join(_DATATYPES)}
    return [
        {
            "name": name,
            "datatype": "BYTES",
            "shape": [-1],
            "parameters": image if name == IMAGE else other,
        }
        for name in names
    ]


def output_tensors(stages: Sequence[str]) -> list[dict[str, Any]]:
    """Names, datatypes and shapes of what a response holds; -1 is the number of rows."""
    json = {"content": "JSON"}
    return [
        {"name": name, "datatype": "BYTES", "shape": [-1], "parameters": json}
        for name in (*stages, VERSIONS)
    ]


def to_outputs(records: Sequence[Record], outputs: Sequence[str]) -> list[dict[str, Any]]:
    """Turns predictions into output tensors.

    Raises:
      BeamfleetError: a stage gave something that JSON has no form for.
    """
    return [
        {
            "name": name,
            "datatype": "BYTES",
            "shape": [len(records)],
            "data": [document(name, record) for record in records],
        }
        for name in outputs
    ]


def document(output: str, record: Record) -> str:
    """What a stage gave for a record, as JSON; of `versions`, stage -> model."""
    found: Any = record.versions if output == VERSIONS else record.values[output]
    try:
        return orjson.dumps(found, default=_plain, option=_OPTIONS).decode()
    except orjson.JSONEncodeError as error:
        raise BeamfleetError(
            f"stage {output!r} gave something that JSON has no form for ({error}); it can give "
            "dataclasses, dictionaries, lists, arrays, words and numbers"
        ) from error


def _plain(value: Any) -> Any:
    """Tensors, and arrays that are not in one piece."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping | Sequence):
        return dict(value) if isinstance(value, Mapping) else list(value)
    raise TypeError(f"a {type(value).__name__}")
