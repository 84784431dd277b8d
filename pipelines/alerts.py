"""Tells a chat what went wrong in a run. Whatever goes wrong with that, the run goes on.

The address of a webhook is a secret: it is named by where it lies, read when it is used, and in no
message, log or metadata.
"""

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import BeamfleetError

if TYPE_CHECKING:
    from pipelines.summary import Summary

EVENTS = ("anomaly", "not_blessed", "infra_failed", "run_failed", "waits_for_approval")
ENVIRONMENT, FILE = "env:", "file:"
_TRIES, _TIMEOUT_S, _PAUSE_S, _DEADLINE_S = 3, 5.0, 1.0, 30.0
_MOST_CHARACTERS = 3_000
"""Of a message: Slack cuts longer ones into pieces."""
_AGAIN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})


def check_webhook(webhook: str) -> None:
    """Refuses a webhook that is written down in the open.

    Raises:
      BeamfleetError: it is neither `env:NAME` nor `file:PATH`.
    """
    if not any(webhook.startswith(p) and webhook != p for p in (ENVIRONMENT, FILE)):
        raise BeamfleetError(
            "webhook names where its address lies, which is a secret: 'env:SLACK_WEBHOOK' for an "
            "environment variable, 'file:/run/secrets/slack' for a file"
        )


def happened(summary: "Summary") -> dict[str, str]:
    """Event -> why, of those of EVENTS that a finished run has."""
    return dict(_happened(summary))


def _happened(summary: "Summary") -> Iterator[tuple[str, str]]:
    if count := summary.validation.get("anomalies"):
        first = "; ".join(summary.validation["found"][:3])
        yield "anomaly", f"{count} anomalies: {first}"
    for section in (summary.evaluation, summary.captions):
        if section and not section["blessed"]:
            yield "not_blessed", section["reason"] or "see the evaluation"
    if summary.infra and not summary.infra["blessed"]:
        yield "infra_failed", summary.infra.get("reason") or "see the report of InfraValidator"
    if summary.push.get("approval") == "waits":
        report = f" after a look at {summary.push['report']}" if "report" in summary.push else ""
        yield "waits_for_approval", f"`{summary.push['approve']}`{report}"


def message(
    pipeline: str, run_id: str, root: str, events: Mapping[str, str], report: str = ""
) -> str:
    """What is said: the events with their reasons, and where to look; `report` is an address."""
    lines = [f"*{pipeline}* run {run_id}"]
    lines += [f"{event.replace('_', ' ')}: {why}" for event, why in events.items()]
    text = "\n".join(lines)
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[:_MOST_CHARACTERS]}..."
    where = f"\nreport: {report}" if report else ""
    return f"{text}\n`beamfleet show {run_id} --root {root}`{where}"


def send(webhook: str, text: str, pause_s: float = _PAUSE_S) -> str:
    """Posts `{"text": ...}`, as Slack, Mattermost and others take it; three times if need be.

    Args:
      webhook: `env:NAME` or `file:PATH`.
      text: what is said.
      pause_s: seconds before the second try; before the third twice as many.

    Returns:
      Why it could not be sent, without the address; "" if it was. Nothing is raised.
    """
    try:
        address = _address(webhook)
    except (BeamfleetError, OSError, ValueError) as error:
        return str(error)
    said = [f"no answer in {_DEADLINE_S:g} s"]
    # In a thread that nobody waits for any longer: a server may answer byte by byte.
    sender = threading.Thread(target=_send, args=(address, text, pause_s, said), daemon=True)
    sender.start()
    sender.join(_DEADLINE_S)
    return said[0].replace(address, "the webhook")


def _send(address: str, text: str, pause_s: float, said: list[str]) -> None:
    """Leaves in `said` why it failed, "" if it did not."""
    body = json.dumps({"text": text}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "beamfleet"}
    for number in range(_TRIES):
        if number:
            time.sleep(pause_s * number)
        failure, again = _post(address, body, headers)
        if not failure or not again or number == _TRIES - 1:
            said[0] = failure
            return


def _address(webhook: str) -> str:
    if webhook.startswith(ENVIRONMENT):
        name = webhook.removeprefix(ENVIRONMENT)
        address = os.environ.get(name, "")
        if not address:
            raise BeamfleetError(f"the environment variable {name} is not set")
    else:
        address = Path(webhook.removeprefix(FILE)).read_text(encoding="utf-8")
    address = address.strip()
    if not address.startswith(("https://", "http://")):
        raise BeamfleetError(f"{webhook} holds no http(s) address")
    return address


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Where a webhook leads elsewhere, the message is not for there."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _post(address: str, body: bytes, headers: dict[str, str]) -> tuple[str, bool]:
    """Why it failed, "" if it did not, and whether to try again."""
    try:
        request = urllib.request.Request(address, body, headers)  # noqa: S310  (http by _address)
        with _OPENER.open(request, timeout=_TIMEOUT_S):
            return "", False
    except urllib.error.HTTPError as error:
        again = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _AGAIN
        return f"the webhook answered {error.code}", again
    except Exception as error:  # a name that is not found, a time-out, an odd answer
        return f"{type(error).__name__}: {getattr(error, 'reason', error)}", True
