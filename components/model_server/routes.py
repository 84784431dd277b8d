"""Which version answers a request, or which rows of it."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from components.model_server.requests import RequestError, Tensor
from components.model_server.servable import Servable
from components.model_server.variants import VariantMetrics
from components.pusher.traffic import CHAMPION, Split
from components.traffic import variant_of

STICKY_KEY = "sticky_key"
"""Request parameter by whose value a request goes to a variant, instead of its id."""


@dataclass(frozen=True)
class Served:
    """One opened version. A request takes it once, so that a swap falls between requests."""

    version: str
    """Number of the pushed version, or the first 12 digits of a lone model's fingerprint."""
    servable: Servable
    metrics: VariantMetrics = field(compare=False)

    @property
    def label(self) -> str:
        """`champion`, or the challenger's."""
        return self.metrics.label

    def labelled(self, label: str, limit_ms: float | None = None) -> "Served":
        """The same version under a label, with counts from 0."""
        return replace(self, metrics=VariantMetrics(label, self.version, limit_ms))


@dataclass(frozen=True)
class Routes:
    """The versions of now, and how they share the requests. A request takes it once."""

    champion: Served
    challenger: Served | None = None
    split: Split | None = None
    """Of the challenger, if there is one."""

    @property
    def variants(self) -> tuple[Served, ...]:
        """Champion and challenger."""
        return (self.champion, self.challenger) if self.challenger else (self.champion,)

    def shared(self, now: datetime) -> bool:
        """Whether the challenger gets requests."""
        return self._runs(now) and bool(self.split and not self.split.plan.shadow)

    def shadow(self, now: datetime) -> Served | None:
        """The challenger that only computes, if there is one."""
        shadow = self._runs(now) and self.split and self.split.plan.shadow
        return self.challenger if shadow else None

    @property
    def by_entity(self) -> bool:
        """Whether the rows' entities decide, not the request."""
        by = self.split.plan.by if self.split else ""
        return by != "request" and self.champion.servable.has_entities

    def of_key(self, key: object) -> Served:
        """The variant that answers for a key."""
        assert self.split and self.challenger
        label = variant_of(self.split.plan.shares, key)
        return self.champion if label == CHAMPION else self.challenger

    def of_rows(self, keys: Sequence[str | None]) -> list[tuple[Served, list[int]]]:
        """The variants that answer for the rows of these entities, and their rows.

        A row without an entity, which nobody can predict, is the champion's.
        """
        known = {key: self.of_key(key) for key in set(keys) if key is not None}
        rows: dict[str, list[int]] = {one.label: [] for one in self.variants}
        for row, key in enumerate(keys):
            rows[(known[key] if key is not None else self.champion).label].append(row)
        return [(one, rows[one.label]) for one in self.variants if rows[one.label]]

    def _runs(self, now: datetime) -> bool:
        return bool(self.challenger and self.split and self.split.state(now) == "running")


def request_key(parameters: Mapping[str, Any], request_id: str) -> str:
    """What a request is sticky by: its parameter `sticky_key`, else its id, else nothing.

    Raises:
      RequestError: 400, the parameter is neither a text nor a whole number.
    """
    key = parameters.get(STICKY_KEY)
    if key is None:
        return request_id or uuid.uuid4().hex
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise RequestError(400, f"parameter {STICKY_KEY!r} must be a string or a whole number")
    return str(key)


@dataclass(frozen=True)
class Rows:
    """An input with some of its rows."""

    name: str
    shape: list[int]
    datatype: str
    data: Any


def some_rows(inputs: Sequence[Tensor], rows: Sequence[int]) -> list[Tensor]:
    """The inputs of a checked request with some of its rows only."""
    return [
        Rows(t.name, [len(rows), *t.shape[1:]], t.datatype, [t.data[row] for row in rows])
        for t in inputs
    ]


@dataclass(frozen=True)
class Part:
    """What one variant answered."""

    served: Served
    rows: Sequence[int]
    """Of the request, of which these are the answers; empty: of all."""
    outputs: list[dict[str, Any]]


def joined(parts: Sequence[Part]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The outputs of all rows in their order, and the parameters that say who answered."""
    if len(parts) == 1:
        return parts[0].outputs, {"label": parts[0].served.label}
    outputs = [_joined(tensors, parts) for tensors in zip(*(p.outputs for p in parts), strict=True)]
    by_row = {row: part.served.label for part in parts for row in part.rows}
    labels = [by_row[row] for row in sorted(by_row)]
    names = ",".join(dict.fromkeys(part.served.label for part in parts))
    return outputs, {"label": names, "row_labels": json.dumps(labels)}


def _joined(tensors: Sequence[dict[str, Any]], parts: Sequence[Part]) -> dict[str, Any]:
    """One output of several variants; flat, row after row."""
    count = sum(len(part.rows) for part in parts)
    data: list[list[Any]] = [[] for _ in range(count)]
    for tensor, part in zip(tensors, parts, strict=True):
        width = len(tensor["data"]) // len(part.rows)
        for place, row in enumerate(part.rows):
            data[row] = tensor["data"][place * width : (place + 1) * width]
    shape = [count, *tensors[0]["shape"][1:]]
    return {**tensors[0], "shape": shape, "data": [value for row in data for value in row]}
