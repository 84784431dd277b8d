"""Starts the real server with a model, asks it, abuses it, and says whether it may serve."""

import http.client
import math
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from components.errors import BeamfleetError
from components.infra_validator.ask import Answers, ask
from components.infra_validator.candidate import Candidate, Sample, open_candidate
from components.infra_validator.client import Client
from components.infra_validator.malformed import Malformed
from components.infra_validator.process import ServerError, ServerProcess, running_server
from components.infra_validator.report import Gates, Report

_ATTEMPTS = 2
_NAMED = 3
_DEATH_S = 1.0


def probe(model_uri: str, batches: Iterable[pa.RecordBatch], gates: Gates) -> Report:
    """Validates the serving of a model in a fresh process, which has ended when this returns.

    Args:
      model_uri: entity-models store, or ensemble.
      batches: examples as plain columns. The first 100,000 rows are sampled for entity models; for
        an ensemble the first `gates.requests` are taken.
      gates: limits.

    Returns:
      Figures and reasons. A damaged model and a server that dies are reasons, not exceptions.

    Raises:
      BeamfleetError: the examples are empty or lack a column.
    """
    try:
        candidate = open_candidate(model_uri)
    except BeamfleetError as error:
        return Report(gates, reasons=[str(error)])
    sample = candidate.sample(batches, gates.requests)
    with tempfile.TemporaryDirectory(prefix="infra-validator-") as folder:
        for attempt in range(1, _ATTEMPTS + 1):
            report = Report(gates, startup={"attempts": attempt})
            _attempt(candidate, sample, report, Path(folder) / str(attempt))
            if report.startup.get("startup_s", math.inf) <= gates.max_startup_s:
                break
    if report.requests:
        report.requests |= sample.counts
    return report


def _attempt(candidate: Candidate, sample: Sample, report: Report, folder: Path) -> None:
    """One server, from its start to its end."""
    with running_server(candidate.uri, folder) as server:
        try:
            in_time = _start(server, report)
            if in_time or report.startup["attempts"] == _ATTEMPTS:
                _ask_all(server, candidate, sample, report)
        except ServerError as error:
            report.reasons.append(str(error))
        if not report.blessed:
            report.log_tail = server.log_tail()


def _start(server: ServerProcess, report: Report) -> bool:
    status = server.wait_until_ready(report.gates.max_startup_s)
    for part in ("import_s", "load_s", "ready_s"):
        report.startup[part] = round(status[part], 3)
    startup_s: float = round(status["load_s"] + status["ready_s"], 3)
    report.startup["startup_s"] = startup_s
    limit = report.gates.max_startup_s
    if startup_s > limit:
        report.reasons.append(
            f"{startup_s:g} s from loading to readiness, at most {limit:g} s allowed"
        )
    return bool(startup_s <= limit)


def _ask_all(server: ServerProcess, candidate: Candidate, sample: Sample, report: Report) -> None:
    with Client(server.port) as client:
        if not client.is_ready():
            raise ServerError("the server said that it is ready, but does not answer so")
        answers = Answers()
        try:
            ask(server, client, candidate, sample, answers, report.gates.max_p99_ms)
        finally:
            report.requests = answers.figures(candidate.noun)
            _judge(answers, report)
        _weigh(server, report)
        for malformed in candidate.malformed(answers.good) if answers.good else ():
            _abuse(server, client, malformed, report)


def _judge(answers: Answers, report: Report) -> None:
    sent, p99_ms, limit = answers.sent, report.requests.get("p99_ms"), report.gates.max_p99_ms
    if p99_ms is not None and p99_ms > limit:
        report.reasons.append(
            f"p99 of {len(answers.times_ms)} requests is {p99_ms:g} ms, at most {limit:g} ms "
            "allowed"
        )
    if answers.failures:
        report.reasons.append(
            f"{len(answers.failures)} of {sent} requests failed: {_named(answers.failures)}"
        )
    if answers.differing:
        report.reasons.append(
            f"{len(answers.differing)} of {sent} answers differ from the same models outside the "
            f"server: {_named(answers.differing)}"
        )
    if answers.good is None:
        report.reasons.append(f"none of {sent} requests was answered with a prediction")


def _named(problems: list[str]) -> str:
    more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return "; ".join(problems[:_NAMED]) + more


def _weigh(server: ServerProcess, report: Report) -> None:
    rss_mb, limit = round(server.resident_mb(), 1), report.gates.max_rss_mb
    report.memory["rss_mb"] = rss_mb
    if limit is not None and rss_mb > limit:
        report.reasons.append(f"{rss_mb:g} MB of resident memory, at most {limit:g} MB allowed")


def _abuse(server: ServerProcess, client: Client, malformed: Malformed, report: Report) -> None:
    """Sends one bad request, which has to get a 4xx and to leave the server alive and ready."""
    case = malformed.case
    try:
        status = client.call(
            malformed.method, malformed.path, malformed.body, malformed.headers
        ).status
    except (OSError, http.client.HTTPException):
        status = 0
        server.check_alive(f" after a malformed request ({case})", _DEATH_S)
    report.malformed[case] = status
    if not http.client.BAD_REQUEST <= status < http.client.INTERNAL_SERVER_ERROR:
        got = f"got {status}" if status else "got no response"
        report.reasons.append(f"a malformed request ({case}) {got}, a 4xx was expected")
    if not client.is_ready():
        raise ServerError(f"after a malformed request ({case}) the server was not ready any more")
