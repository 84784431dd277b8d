"""Requests that a server must refuse with a 4xx and survive."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.infra_validator.client import INFER, JSON
from components.model_server.config import ServerConfig

_DEEP = 100_000


@dataclass(frozen=True)
class Malformed:
    """One bad request."""

    case: str
    body: Any
    """Bytes, or an iterator of bytes, which is sent in chunks without a length."""
    method: str = "POST"
    path: str = INFER
    headers: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.headers is None:
            object.__setattr__(self, "headers", JSON)


def malformed_requests(
    good: Mapping[str, Any], max_body_bytes: int, *, needs_first: bool = True
) -> list[Malformed]:
    """Spoils a request that the server answers, in every way that a client might.

    Args:
      good: body of a request of one row.
      max_body_bytes: that the server takes.
      needs_first: whether a row without a value of the first input has no prediction.
    """
    return [
        *_broken_bodies(max_body_bytes + 1),
        *_spoiled(good, needs_first),
        *_wrong_envelopes(json.dumps(good).encode()),
    ]


def _broken_bodies(too_large: int) -> list[Malformed]:
    return [
        Malformed("empty body", b""),
        Malformed("broken JSON", b'{"inputs": [{"name": '),
        Malformed("not UTF-8", b'{"inputs": "\xff\xfe"}'),
        Malformed("lone surrogate", b'{"inputs": "\\ud800"}'),
        Malformed("NaN", b'{"inputs": [NaN]}'),
        Malformed("deeply nested JSON", b"[" * _DEEP + b"]" * _DEEP),
        Malformed("deeply nested objects", b'{"inputs":' * _DEEP),
        Malformed("JSON list", b"[]"),
        Malformed("no inputs", b"{}"),
        Malformed("inputs of another type", b'{"inputs": {"name": "x"}}'),
        Malformed("body too large", b" " * too_large),
        Malformed("chunked body too large", _chunks(too_large)),
    ]


def _chunks(size: int) -> Iterator[bytes]:
    for _ in range(-(-size // 65_536)):
        yield b" " * 65_536


def _spoiled(good: Mapping[str, Any], needs_first: bool) -> list[Malformed]:
    changes: dict[str, dict[str, Any]] = {
        "name of another type": {"name": 7},
        "no datatype": {"datatype": None},
        "unknown datatype": {"datatype": "FP128"},
        "wrong datatype": {"datatype": "BOOL", "data": [True]},
        "negative shape": {"shape": [-1]},
        "empty shape": {"shape": []},
        "no rows": {"shape": [0], "data": []},
        "shape of words": {"shape": ["1"]},
        "huge shape": {"shape": [2**62]},
        "square shape": {"shape": [1, 2], "data": [1, 2]},
        "shape and data differ": {"shape": [1], "data": [None, None]},
        "ragged inputs": {"shape": [2], "data": [None, None]},
        "values of another type": {"data": [{"a": 1}]},
        "nested values": {"data": [[None]]},
        "infinite value": {"datatype": "FP64", "data": ["Infinity"]},
        "data of another type": {"data": "abc"},
        "binary tensor": {"data": None, "parameters": {"binary_data_size": 4}},
    }
    cases = [Malformed(case, _with(good, change)) for case, change in changes.items()]
    inputs = list(good["inputs"])
    rows = ServerConfig.max_rows + 1
    many = [{**tensor, "shape": [rows], "data": tensor["data"] * rows} for tensor in inputs]
    extra = {"name": "no such column", "shape": [1], "datatype": "BYTES", "data": ["x"]}
    more: dict[str, dict[str, Any]] = {
        "too many rows": {"inputs": many},
        "missing column": {"inputs": inputs[:-1]},
        "unknown column": {"inputs": [*inputs, extra]},
        "column given twice": {"inputs": [*inputs, inputs[0]]},
        "unknown output": {"outputs": [{"name": "no such output"}]},
        "id of another type": {"id": [1]},
    }
    if needs_first:
        without = [{**inputs[0], "data": [None]}, *inputs[1:]]
        more["first input without a value"] = {"inputs": without}
    return cases + [Malformed(c, json.dumps({**good, **m}).encode()) for c, m in more.items()]


def _with(good: Mapping[str, Any], change: Mapping[str, Any]) -> bytes:
    """Changes the last input, which is a feature."""
    request = copy.deepcopy(dict(good))
    request["inputs"][-1] |= change
    return json.dumps(request).encode()


def _wrong_envelopes(body: bytes) -> list[Malformed]:
    return [
        Malformed("no content type", body, headers={}),
        Malformed("wrong content type", body, headers={"content-type": "text/plain"}),
        Malformed(
            "binary content type",
            body,
            headers={
                "content-type": "application/octet-stream",
                "inference-header-content-length": "x",
            },
        ),
        Malformed("compressed body", body, headers={**JSON, "content-encoding": "gzip"}),
        Malformed("unknown model", body, path="/v2/models/no-such-model/infer"),
        Malformed("path as model", body, path="/v2/models/..%2F..%2Fetc%2Fpasswd/infer"),
        Malformed("unknown version", body, path="/v2/models/model/versions/999/infer"),
        Malformed("load a model", body, path="/v2/repository/models/model/load"),
        Malformed("unload the model", body, path="/v2/repository/models/model/unload"),
        Malformed("V1 protocol", body, path="/v1/models/model:predict"),
        Malformed("wrong method", None, method="GET"),
    ]
