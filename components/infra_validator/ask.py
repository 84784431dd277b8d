"""Sends rows to a running server and compares its answers with the models outside it."""

import http.client
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from components.errors import BeamfleetError
from components.infra_validator.candidate import Candidate, Prediction, Sample
from components.infra_validator.client import Answer, Client
from components.infra_validator.process import ServerProcess

_DEATH_S = 1.0
_SHOWN = 500


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
    names: set[str] = field(default_factory=set)
    """Of the rows that were sent."""
    sent: int = 0

    def figures(self, noun: str) -> dict[str, Any]:
        """Counts and percentiles for the report; sent = answered + refused + differing + failed.

        Different names are counted as `noun`.
        """
        wrong = self.refused + len(self.failures) + len(self.differing)
        figures: dict[str, Any] = {
            "sent": self.sent,
            "answered": self.sent - wrong,
            "refused": self.refused,
            "differing": len(self.differing),
            "failed": len(self.failures),
            noun: len(self.names),
        }
        for name, share in {"p50_ms": 50, "p99_ms": 99}.items():
            if self.times_ms:
                value = np.percentile(self.times_ms, share, method="higher")
                figures[name] = round(float(value), 2)
        return figures


def ask(
    server: ServerProcess,
    client: Client,
    candidate: Candidate,
    sample: Sample,
    answers: Answers,
    max_p99_ms: float,
) -> None:
    """Sends each row as one request, one after the other, and fills `answers`.

    It stops once more than a hundredth of all requests took longer than `max_p99_ms`, because then
    nothing can save the gate, and a model that hangs would take hours.

    Raises:
      ServerError: the server ended.
    """
    for number, name in enumerate(sample.names):
        answers.sent += 1
        answers.names.add(name)
        _ask_about(sample.rows.slice(number, 1), name, server, client, candidate, answers)
        slow = sum(milliseconds > max_p99_ms for milliseconds in answers.times_ms)
        if slow > len(sample.names) / 100:
            return


def _ask_about(
    row: pa.Table,
    name: str,
    server: ServerProcess,
    client: Client,
    candidate: Candidate,
    answers: Answers,
) -> None:
    request = candidate.request(row)
    try:
        answer = client.infer(request)
    except (OSError, http.client.HTTPException) as error:
        server.check_alive(f" when it was asked about {name}", _DEATH_S)
        answers.failures.append(f"{name}: no response ({error!r})")
        return
    answers.times_ms.append(answer.milliseconds)
    try:
        expected = candidate.predict(row)
    except BeamfleetError as error:
        answers.failures.append(f"{name}: {error}")
        return
    if answer.status >= http.client.INTERNAL_SERVER_ERROR:
        answers.failures.append(f"{name}: {answer.status} {answer.error}")
    elif difference := _difference(expected, answer, candidate):
        answers.differing.append(f"{name}: {difference}")
    elif answer.status == http.client.OK:
        answers.good = answers.good or request
    else:
        answers.refused += 1


def _difference(expected: Prediction, answer: Answer, candidate: Candidate) -> str:
    """How an answer about one row differs from the prediction; "" if it does not."""
    error = expected.error
    if (error is None) != (answer.status == http.client.OK):
        outside = f"no prediction ({error})" if error else "a prediction"
        return f"the server answered {answer.status} {answer.error}, outside it there is {outside}"
    if error is not None:
        return ""
    data = {output["name"]: output["data"] for output in answer.content["outputs"]}
    served = candidate.read({name: data[name] for name in expected.outputs if name in data})
    for name, there in expected.outputs.items():
        if not _same(there, served.get(name), candidate.tolerance):
            return f"{name} {_shown(served.get(name))}, outside the server {_shown(there)}"
    return ""


def _same(there: Any, served: Any, tolerance: float) -> bool:
    """Whether two JSON values are equal but for the last digits of numbers."""
    if isinstance(there, float) and isinstance(served, int | float):
        return math.isclose(there, served, rel_tol=tolerance, abs_tol=tolerance / 100)
    if isinstance(there, list) and isinstance(served, list):
        return len(there) == len(served) and all(
            _same(*pair, tolerance) for pair in zip(there, served, strict=True)
        )
    if isinstance(there, dict) and isinstance(served, dict):
        return there.keys() == served.keys() and all(
            _same(there[key], served[key], tolerance) for key in there
        )
    return bool(there == served)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
