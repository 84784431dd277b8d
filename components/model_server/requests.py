"""Requests of the Open Inference Protocol (V2): what they have in common, checked.

    {"inputs": [
      {"name": "education", "shape": [2], "datatype": "BYTES", "data": ["HS-grad", "Masters"]},
      {"name": "age",       "shape": [2], "datatype": "INT64", "data": [39, null]}]}

Each input is a tensor of shape [n] or [n, 1], with the same n. A missing value is `null` in `data`.
Words are BYTES, whole numbers INT8 to INT64 or UINT8 to UINT64, other numbers FP32 or FP64.

Source: https://kserve.github.io/website, "Open Inference Protocol (V2)".
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

WHOLE = ("INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8")
FLOATING = ("FP64", "FP32")
IMAGE = "image"
"""The input of images, as `components.images.read` names the column."""
_PYTHON_TYPES: Mapping[str, tuple[set[type], str]] = {
    "BYTES": ({str}, "a string"),
    "BOOL": ({bool}, "true or false"),
    **{name: ({int, float}, "a number") for name in FLOATING},
    **{name: ({int}, "a whole number") for name in WHOLE},
}
_NAMED_ROWS = 5


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
    if not isinstance(content.get("parameters", {}), dict | None):
        raise RequestError(400, "'parameters' must be an object")
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


def by_name(inputs: Sequence[Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """The inputs of a request, in the order of `names`.

    Raises:
      RequestError: 400, one is unknown, missing or given twice.
    """
    known = list(names)
    given: dict[str, Tensor] = {}
    for tensor in inputs:
        if tensor.name not in known:
            raise RequestError(
                400, f"unknown input {shown(tensor.name)}; the model takes {', '.join(known)}"
            )
        if tensor.name in given:
            raise RequestError(400, f"input {shown(tensor.name)} is given twice")
        given[tensor.name] = tensor
    missing = [name for name in known if name not in given]
    if missing:
        raise RequestError(
            400, f"inputs missing: {', '.join(missing)}; give null for a missing value"
        )
    return {name: given[name] for name in known}


def row_count(tensors: Iterable[Tensor], max_rows: int) -> int:
    """How many rows all inputs have.

    Raises:
      RequestError: 400 where they differ or a shape is none of rows; 413 where there are too many.
    """
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


def values(tensor: Tensor, datatypes: Sequence[str], rows: int) -> list[Any]:
    """The values of an input: of the datatype's Python type, or None. FP32 and FP64 are floats.

    Raises:
      RequestError: 400, it has another datatype, another number of values, or others in it.
    """
    if tensor.datatype not in datatypes:
        raise RequestError(
            400,
            f"input {tensor.name!r} has datatype {shown(tensor.datatype)}, expected "
            f"{' or '.join(datatypes)}",
        )
    found = _flat(tensor, rows)
    allowed, words = _PYTHON_TYPES[tensor.datatype]
    if not set(map(type, found)) <= {*allowed, type(None)}:
        row = next(i for i, v in enumerate(found) if v is not None and type(v) not in allowed)
        raise RequestError(
            400, f"row {row} of input {tensor.name!r} is {shown(found[row])}, expected {words}"
        )
    return floats(found, tensor.name) if tensor.datatype in FLOATING else found


def _flat(tensor: Tensor, rows: int) -> list[Any]:
    """Gives `rows` values; a tensor of shape [n, 1] may be written flat or nested."""
    found: list[Any] = tensor.data
    if len(found) != rows:
        raise RequestError(
            400, f"input {tensor.name!r} has {len(found)} values for shape {tensor.shape}"
        )
    if len(tensor.shape) == 2 and all(isinstance(v, list) and len(v) == 1 for v in found):
        return [value for [value] in found]
    return found


def floats(numbers: list[Any], name: str) -> list[float | None]:
    """Numbers or None as floats or None.

    Raises:
      RequestError: 400, one is not finite, or beyond what a float holds.
    """
    for row, value in enumerate(numbers):
        if isinstance(value, float) and not math.isfinite(value):
            raise RequestError(400, f"row {row} of input {name!r} is not finite; give null")
    try:
        return [v if v is None else float(v) for v in numbers]
    except OverflowError:
        raise out_of_range(name) from None


def out_of_range(name: str) -> RequestError:
    return RequestError(400, f"input {name!r} has a number beyond the range of its datatype")


def shown(value: object) -> str:
    """A value of the client's, cut so that an error stays one short sentence."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def check_time(until: float) -> None:
    """Goes no further when nobody waits for the answer any more.

    Raises:
      RequestError: 504, it is later than `until`, by `time.monotonic`.
    """
    if time.monotonic() > until:
        raise RequestError(504, "no prediction in time; send fewer rows")


def check_rows(reasons: Sequence[str | None]) -> None:
    """Refuses the whole request if any row has no prediction.

    Args:
      reasons: (rows) why a row has none; None where it has one.

    Raises:
      RequestError: 422, naming up to five rows and their reasons.
    """
    refused = [(row, reason) for row, reason in enumerate(reasons) if reason is not None]
    if refused:
        named = "; ".join(
            f"row {row}: {' '.join(reason.split())[:200]}" for row, reason in refused[:_NAMED_ROWS]
        )
        more = f"; and {len(refused) - _NAMED_ROWS} more" if len(refused) > _NAMED_ROWS else ""
        raise RequestError(
            422, f"{len(refused)} of {len(reasons)} rows cannot be predicted: {named}{more}"
        )


def to_tensor(name: str, column: pa.ChunkedArray) -> dict[str, Any]:
    """Writes a column as an input, the way a client does; NaN is a missing value."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_integer(kind):
        datatype = "INT64"
    elif pa.types.is_floating(kind):
        datatype = "FP64"
    else:
        datatype = "BYTES"
    found = [None if value != value else value for value in column.to_pylist()]
    return {"name": name, "shape": [len(found)], "datatype": datatype, "data": found}
