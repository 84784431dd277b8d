"""Sends rows to a running server and compares its answers with the models outside it."""

import http.client
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from components.entity_models.key import entity_keys
from components.entity_models.predict import predict
from components.entity_models.spec import ModelSpec
from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.infra_validator.client import Answer, Client
from components.infra_validator.process import ServerProcess
from components.model_server.requests import to_request

_REL_TOLERANCE = 1e-6
_ABS_TOLERANCE = 1e-9
_DEATH_S = 1.0


@dataclass
class Answers:
    """What came back, row by row."""

    times_ms: list[float] = field(default_factory=list)
    """Milliseconds of each response."""
    failures: list[str] = field(default_factory=list)
    """No response, a 5xx, or a store that is damaged."""
    differing: list[str] = field(default_factory=list)
    """Answers that are not what the same models say outside the server."""
    refused: int = 0
    """Rows that have no prediction, here as there."""
    good: dict[str, Any] | None = None
    """A request that was answered with a prediction."""
    entities: set[str] = field(default_factory=set)
    sent: int = 0

    def figures(self) -> dict[str, Any]:
        """Counts and percentiles for the report; sent = answered + refused + differing + failed."""
        wrong = self.refused + len(self.failures) + len(self.differing)
        figures: dict[str, Any] = {
            "sent": self.sent,
            "answered": self.sent - wrong,
            "refused": self.refused,
            "differing": len(self.differing),
            "failed": len(self.failures),
            "entities": len(self.entities),
        }
        for name, share in {"p50_ms": 50, "p99_ms": 99}.items():
            if self.times_ms:
                value = np.percentile(self.times_ms, share, method="higher")
                figures[name] = round(float(value), 2)
        return figures


def ask(
    server: ServerProcess,
    client: Client,
    models: EntityModels,
    rows: pa.Table,
    answers: Answers,
    max_p99_ms: float,
) -> None:
    """Sends each row as one request, one after the other, and fills `answers`.

    It stops once more than a hundredth of all requests took longer than `max_p99_ms`, because then
    nothing can save the gate, and a model that hangs would take hours.

    Raises:
      ServerError: the server ended.
    """
    keys = entity_keys(rows, models.spec.entity_columns).to_pylist()
    for number, key in enumerate(keys):
        answers.sent += 1
        answers.entities.add(key)
        _ask_about(rows.slice(number, 1), key, server, client, models, answers)
        slow = sum(milliseconds > max_p99_ms for milliseconds in answers.times_ms)
        if slow > len(keys) / 100:
            return


def _ask_about(
    row: pa.Table,
    key: str,
    server: ServerProcess,
    client: Client,
    models: EntityModels,
    answers: Answers,
) -> None:
    request = to_request(row, models.spec)
    try:
        answer = client.infer(request)
    except (OSError, http.client.HTTPException) as error:
        server.check_alive(f" when it was asked about entity {key!r}", _DEATH_S)
        answers.failures.append(f"entity {key!r}: no response ({error!r})")
        return
    answers.times_ms.append(answer.milliseconds)
    try:
        expected = predict(models, row)
    except BeamfleetError as error:
        answers.failures.append(f"entity {key!r}: {error}")
        return
    if answer.status >= http.client.INTERNAL_SERVER_ERROR:
        answers.failures.append(f"entity {key!r}: {answer.status} {answer.error}")
    elif difference := _difference(expected, answer, models.spec):
        answers.differing.append(f"entity {key!r}: {difference}")
    elif answer.status == http.client.OK:
        answers.good = answers.good or request
    else:
        answers.refused += 1


def _difference(expected: pa.Table, answer: Answer, spec: ModelSpec) -> str:
    """How an answer about one row differs from the prediction; "" if it does not."""
    error = expected.column("error")[0].as_py()
    if (error is None) != (answer.status == http.client.OK):
        outside = f"no prediction ({error})" if error else "a prediction"
        return f"the server answered {answer.status} {answer.error}, outside it there is {outside}"
    if error is not None:
        return ""
    served = {output["name"]: output["data"] for output in answer.content["outputs"]}
    there: dict[str, list[Any]] = {
        name: expected.column(name).to_pylist() for name in ("prediction", "fallback")
    }
    if spec.classes:
        [probabilities] = expected.column("probabilities").to_pylist()
        there["probabilities"] = probabilities or [None] * len(spec.classes)
    for name, values in there.items():
        if not _same(values, served.get(name)):
            return f"{name} {served.get(name)}, outside the server {values}"
    return ""


def _same(there: list[Any], served: list[Any] | None) -> bool:
    return served is not None and len(there) == len(served) and all(map(_same_value, there, served))


def _same_value(there: Any, served: Any) -> bool:
    if isinstance(there, float) and isinstance(served, int | float):
        # Far below what a skew does, and above what another order of additions may.
        return math.isclose(there, served, rel_tol=_REL_TOLERANCE, abs_tol=_ABS_TOLERANCE)
    return bool(there == served)
