"""Responses of the Open Inference Protocol (V2), and what a model takes and gives."""

import json
from typing import Any

import pyarrow as pa

from components.entity_models.spec import ModelSpec
from components.model_server.requests import RequestError

_NAMED = 5


def check_rows(result: pa.Table) -> None:
    """Refuses the whole request if any row has no prediction.

    Raises:
      RequestError: 422, naming up to five rows and their reasons.
    """
    errors = [(row, e) for row, e in enumerate(result.column("error").to_pylist()) if e is not None]
    if errors:
        named = "; ".join(f"row {row}: {reason[:200]}" for row, reason in errors[:_NAMED])
        more = f"; and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
        raise RequestError(
            422, f"{len(errors)} of {result.num_rows} rows cannot be predicted: {named}{more}"
        )


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


def input_tensors(spec: ModelSpec) -> list[dict[str, Any]]:
    """Names, datatypes and shapes of what a request needs; -1 is the number of rows."""
    datatypes = {"string": "BYTES", "int64": "INT64", "double": "FP64"}
    columns = (*spec.entities, *spec.features)
    return [{"name": name, "datatype": datatypes[kind], "shape": [-1]} for name, kind in columns]


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
    return [value for values in lists for value in (none if values is None else values)]
