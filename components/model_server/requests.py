"""Requests of the Open Inference Protocol (V2): checked, to Arrow, and as a client writes them.

A request has one input tensor for each entity column and each feature, of shape [n] or [n, 1]:

    {"inputs": [
      {"name": "education", "shape": [2], "datatype": "BYTES", "data": ["HS-grad", "Masters"]},
      {"name": "age",       "shape": [2], "datatype": "INT64", "data": [39, null]}]}

A missing value is `null` in `data`; an empty string is a value, but no entity. Words are BYTES,
whole numbers INT8 to INT64 or UINT8 to UINT64, other numbers FP32, FP64 or any of the former; the
entity columns take any of them that fits the type they were trained on. A row without an entity key
cannot be predicted.

Source: https://kserve.github.io/website, "Open Inference Protocol (V2)".
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from components.entity_models.key import typed_entity
from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError

_WHOLE = ("INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8")
_DATATYPES = {
    "string": ("BYTES",),
    "int64": _WHOLE,
    "double": ("FP64", "FP32", *_WHOLE),
    "entity": ("BYTES", *_WHOLE, "FP64", "FP32"),
}
_PYTHON_TYPES: Mapping[str, tuple[set[type], str]] = {
    "BYTES": ({str}, "a string"),
    "FP64": ({int, float}, "a number"),
    "FP32": ({int, float}, "a number"),
    **{name: ({int}, "a whole number") for name in _WHOLE},
}


class RequestError(Exception):
    """The client's request cannot be answered; one sentence says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, 400 to 504."""


class Tensor(Protocol):
    """What a V2 tensor has; KServe's InferInput does."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> list[int]: ...
    @property
    def datatype(self) -> str: ...
    @property
    def data(self) -> Any: ...


def check_request(content: object) -> dict[str, Any]:
    """Checks the outer form of a request body.

    Returns:
      The body, with `inputs` a list of objects that have name, shape, datatype and data.

    Raises:
      RequestError: 400, it is of another form.
    """
    if not isinstance(content, dict):
        raise RequestError(400, "the body must be a JSON object with 'inputs'")
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise RequestError(400, "'inputs' must be a list of one or more tensors")
    for place, tensor in enumerate(inputs):
        _check_tensor(place, tensor)
    request_id = content.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError(400, "'id' must be a string")
    _check_outputs(content.get("outputs"))
    return content


def _check_tensor(place: int, tensor: object) -> None:
    if not isinstance(tensor, dict):
        raise RequestError(400, f"inputs[{place}] must be an object")
    forms: tuple[tuple[str, type, str], ...] = (
        ("name", str, "a string"),
        ("datatype", str, "a string such as BYTES"),
        ("shape", list, "a list such as [2]"),
        ("data", list, "a list of values (binary tensors are not taken)"),
    )
    for field, kind, words in forms:
        if not isinstance(tensor.get(field), kind):
            raise RequestError(400, f"inputs[{place}] needs {field!r}, {words}")
    if any(type(size) is not int for size in tensor["shape"]):
        raise RequestError(400, f"'shape' of input {shown(tensor['name'])} must be whole numbers")


def _check_outputs(outputs: object) -> None:
    if outputs is None:
        return
    if not isinstance(outputs, list) or any(
        not isinstance(output, dict) or not isinstance(output.get("name"), str)
        for output in outputs
    ):
        raise RequestError(400, "'outputs' must be a list of objects with a name")


def to_table(inputs: Sequence[Tensor], spec: ModelSpec, max_rows: int) -> pa.Table:
    """Turns the input tensors of a request into columns.

    Returns:
      (rows, entity columns + features), nulls where values are missing.

    Raises:
      RequestError: 400 for columns, shapes or types that the models do not take; 413 for too many
        rows.
    """
    kinds = {**dict.fromkeys(spec.entity_columns, "entity"), **dict(spec.features)}
    given: dict[str, Tensor] = {}
    for tensor in inputs:
        if tensor.name not in kinds:
            raise RequestError(
                400, f"unknown input {shown(tensor.name)}; the model takes {', '.join(kinds)}"
            )
        if tensor.name in given:
            raise RequestError(400, f"input {shown(tensor.name)} is given twice")
        given[tensor.name] = tensor
    missing = [name for name in kinds if name not in given]
    if missing:
        raise RequestError(
            400, f"inputs missing: {', '.join(missing)}; give null for a missing value"
        )
    rows = _rows(given.values(), max_rows)
    columns = {name: _column(given[name], kinds[name], rows) for name in kinds}
    try:
        typed = {name: typed_entity(columns[name], name, kind) for name, kind in spec.entities}
    except BeamfleetError as error:
        raise RequestError(400, str(error)) from None
    return pa.table(columns | typed)


def _rows(tensors: Iterable[Tensor], max_rows: int) -> int:
    sizes: dict[int, str] = {}
    for tensor in tensors:
        shape = tensor.shape
        if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] < 1:
            raise RequestError(
                400, f"input {tensor.name!r} has shape {shown(shape)}, expected [n] or [n, 1]"
            )
        sizes.setdefault(shape[0], tensor.name)
    if len(sizes) > 1:
        words = ", ".join(f"{name!r} has {size}" for size, name in list(sizes.items())[:3])
        raise RequestError(400, f"all inputs must have the same number of rows; {words}")
    [rows] = sizes
    if rows > max_rows:
        raise RequestError(413, f"{rows} rows in one request, at most {max_rows} are taken")
    return rows


def _column(tensor: Tensor, kind: str, rows: int) -> pa.Array:
    if tensor.datatype not in _DATATYPES[kind]:
        raise RequestError(
            400,
            f"input {tensor.name!r} has datatype {shown(tensor.datatype)}, expected "
            f"{' or '.join(_DATATYPES[kind])}",
        )
    values = _flat(tensor, rows)
    allowed, words = _PYTHON_TYPES[tensor.datatype]
    if not set(map(type, values)) <= {*allowed, type(None)}:
        row = next(i for i, v in enumerate(values) if v is not None and type(v) not in allowed)
        raise RequestError(
            400, f"row {row} of input {tensor.name!r} is {shown(values[row])}, expected {words}"
        )
    try:
        if kind == "double" or tensor.datatype.startswith("FP"):
            return _doubles(values, tensor.name)
        return pa.array(values, pa.string() if tensor.datatype == "BYTES" else pa.int64())
    except (pa.ArrowInvalid, OverflowError):
        raise RequestError(
            400, f"input {tensor.name!r} has a number beyond the range of INT64"
        ) from None


def _flat(tensor: Tensor, rows: int) -> list[Any]:
    """Gives `rows` values; a tensor of shape [n, 1] may be written flat or nested."""
    values: list[Any] = tensor.data
    if len(values) != rows:
        raise RequestError(
            400, f"input {tensor.name!r} has {len(values)} values for shape {tensor.shape}"
        )
    if len(tensor.shape) == 2 and all(isinstance(v, list) and len(v) == 1 for v in values):
        return [value for [value] in values]
    return values


def _doubles(values: list[Any], name: str) -> pa.Array:
    for row, value in enumerate(values):
        if isinstance(value, float) and not math.isfinite(value):
            raise RequestError(400, f"row {row} of input {name!r} is not finite; give null")
    return pa.array([v if v is None else float(v) for v in values], pa.float64())


def shown(value: object) -> str:
    """A value of the client's, cut so that an error stays one short sentence."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def to_request(table: pa.Table, spec: ModelSpec) -> dict[str, Any]:
    """Writes rows as the body of a request, the way a client does.

    Args:
      table: (rows, entity columns + features and any more) plain columns.
      spec: what the models take.
    """
    kinds = {**dict.fromkeys(spec.entity_columns, ""), **dict(spec.features)}
    return {"inputs": [_tensor(name, table.column(name)) for name in kinds]}


def _tensor(name: str, column: pa.ChunkedArray) -> dict[str, Any]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_integer(kind):
        datatype = "INT64"
    elif pa.types.is_floating(kind):
        datatype = "FP64"
    else:
        datatype = "BYTES"
    values = [None if value != value else value for value in column.to_pylist()]
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": values}
