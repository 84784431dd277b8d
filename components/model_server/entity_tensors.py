"""Entity models' requests to Arrow, and their predictions to responses.

A request has one input for each entity column and each feature. Words are BYTES; the entity columns
take any datatype that fits the type they were trained on. An empty string is a value, but no
entity. A row without an entity key cannot be predicted.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from components.entity_models.key import typed_entity
from components.entity_models.spec import ModelSpec
from components.errors import BeamfleetError
from components.model_server.requests import (
    FLOATING,
    WHOLE,
    RequestError,
    Tensor,
    by_name,
    floats,
    out_of_range,
    row_count,
    to_tensor,
    values,
)

_DATATYPES = {
    "string": ("BYTES",),
    "int64": WHOLE,
    "double": (*FLOATING, *WHOLE),
    "entity": ("BYTES", *WHOLE, *FLOATING),
}


def to_table(inputs: Sequence[Tensor], spec: ModelSpec, max_rows: int) -> pa.Table:
    """Turns the input tensors of a request into columns.

    Returns:
      (rows, entity columns + features), nulls where values are missing.

    Raises:
      RequestError: 400 for columns, shapes or types that the models do not take; 413 for too many
        rows.
    """
    kinds = {**dict.fromkeys(spec.entity_columns, "entity"), **dict(spec.features)}
    given = by_name(inputs, kinds)
    rows = row_count(given.values(), max_rows)
    columns = {name: _column(given[name], kinds[name], rows) for name in kinds}
    try:
        typed = {name: typed_entity(columns[name], name, kind) for name, kind in spec.entities}
    except BeamfleetError as error:
        raise RequestError(400, str(error)) from None
    return pa.table(columns | typed)


def _column(tensor: Tensor, kind: str, rows: int) -> pa.Array:
    found = values(tensor, _DATATYPES[kind], rows)
    if kind == "double" or tensor.datatype in FLOATING:
        return pa.array(floats(found, tensor.name), pa.float64())
    try:
        return pa.array(found, pa.string() if tensor.datatype == "BYTES" else pa.int64())
    except (pa.ArrowInvalid, OverflowError):
        raise out_of_range(tensor.name) from None


def to_request(table: pa.Table, spec: ModelSpec) -> dict[str, Any]:
    """Writes rows as the body of a request, the way a client does.

    Args:
      table: (rows, entity columns + features and any more) plain columns.
      spec: what the models take.
    """
    kinds = {**dict.fromkeys(spec.entity_columns, ""), **dict(spec.features)}
    return {"inputs": [to_tensor(name, table.column(name)) for name in kinds]}


def input_tensors(spec: ModelSpec) -> list[dict[str, Any]]:
    """Names, datatypes and shapes of what a request needs; -1 is the number of rows."""
    datatypes = {"string": "BYTES", "int64": "INT64", "double": "FP64"}
    columns = (*spec.entities, *spec.features)
    return [{"name": name, "datatype": datatypes[kind], "shape": [-1]} for name, kind in columns]


def output_tensors(spec: ModelSpec) -> list[dict[str, Any]]:
    """Names, datatypes and shapes of what a response holds; -1 is the number of rows."""
    kind = "FP64"
    if spec.task == "classification":
        kind = "BYTES" if isinstance(spec.classes[0], str) else "INT64"
    tensors: list[dict[str, Any]] = [{"name": "prediction", "datatype": kind, "shape": [-1]}]
    if spec.task == "classification":
        shape = [-1, len(spec.classes)]
        tensors.append({"name": "probabilities", "datatype": "FP64", "shape": shape})
    return [*tensors, {"name": "fallback", "datatype": "BOOL", "shape": [-1]}]


def to_outputs(result: pa.Table, spec: ModelSpec) -> list[dict[str, Any]]:
    """Turns predictions into output tensors.

    The probabilities are flat, row after row; `parameters.classes` is the JSON list of the classes
    that they belong to. A model without probabilities gives null for each of them.
    """
    tensors = output_tensors(spec)
    for tensor in tensors:
        tensor["shape"][0] = result.num_rows
        if tensor["name"] == "probabilities":
            tensor["data"] = _flat_probabilities(result, len(spec.classes))
            tensor["parameters"] = {"classes": json.dumps(spec.classes, ensure_ascii=False)}
        else:
            tensor["data"] = result.column(tensor["name"]).to_pylist()
    return tensors


def _flat_probabilities(result: pa.Table, classes: int) -> list[float | None]:
    none = [None] * classes
    lists = result.column("probabilities").to_pylist()
    return [p for row in lists for p in (none if row is None else row)]
