"""Alerts against a real server: quick, slow, refusing, broken, away."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.errors import BeamfleetError
from pipelines import alerts
from pipelines.pipeline import Pipeline
from pipelines.summary import Summary

SECRET = "T0/B0/verysecret"


@contextmanager
def chat(*statuses: int, slow_s: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    """A server that answers so; its address, and what it was told."""
    told: list[str] = []
    answers = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.append(json.loads(body)["text"])
            status = answers.pop(0) if answers else 200
            self.send_response(status)
            if status == 302:
                self.send_header("location", f"http://{self.headers['host']}/elsewhere")
            try:
                for _ in range(int(slow_s * 10)):
                    self.wfile.write(b"x")  # a header that never ends
                    time.sleep(0.1)
                self.end_headers()
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{SECRET}", told
    finally:
        server.shutdown()
        server.server_close()


def send(monkeypatch: pytest.MonkeyPatch, address: str) -> str:
    monkeypatch.setenv("CHAT", address)
    return alerts.send("env:CHAT", "something is wrong", pause_s=0.01)


def test_it_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with chat(200) as (address, told):
        assert send(monkeypatch, address) == ""
    assert told == ["something is wrong"]


def test_the_address_may_lie_in_a_file(tmp_path: Path) -> None:
    with chat() as (address, told):
        (tmp_path / "slack").write_text(f"{address}\n")
        assert alerts.send(f"file:{tmp_path}/slack", "x") == ""
    assert told == ["x"]


def test_it_is_tried_again_where_that_may_help(monkeypatch: pytest.MonkeyPatch) -> None:
    with chat(503, 429, 200) as (address, told):
        assert send(monkeypatch, address) == ""
        assert len(told) == 3
    with chat(500, 500, 500) as (address, told):
        assert send(monkeypatch, address) == "the webhook answered 500"
        assert len(told) == 3


@pytest.mark.parametrize("status", [302, 403, 404])
def test_it_is_not_tried_again_where_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with chat(status) as (address, told):
        assert send(monkeypatch, address) == f"the webhook answered {status}"
    assert len(told) == 1


def test_who_is_away_breaks_nothing_and_the_address_is_not_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with chat() as (address, _):
        pass
    said = send(monkeypatch, address)
    assert "refused" in said and SECRET not in said
    for wrong in ("http://[", f"http://no such host/{SECRET}", f"ftp://x/{SECRET}", ""):
        said = send(monkeypatch, wrong)
        assert said and SECRET not in said


def test_who_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "_DEADLINE_S", 0.5)
    with chat(slow_s=30) as (address, _):
        started = time.monotonic()
        assert send(monkeypatch, address) == "no answer in 0.5 s"
        assert time.monotonic() - started < 5


def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT", raising=False)
    assert alerts.send("env:CHAT", "x") == "the environment variable CHAT is not set"
    assert "No such file" in alerts.send(f"file:{tmp_path}/slack", "x")


def summary(**sections: dict[str, object]) -> Summary:
    return Summary("taxi", "run-1", "/runs", "done", 1.0, **sections)  # type: ignore[arg-type]


def test_events_of_a_run() -> None:
    fine = {"blessed": True, "reason": ""}
    assert alerts.happened(summary(evaluation=fine, infra=fine, validation={"anomalies": 0})) == {}
    bad = summary(
        evaluation={"blessed": False, "reason": "auc is 0.4"},
        infra={"blessed": False, "reason": "slow"},
        validation={"anomalies": 4, "found": ["a", "b", "c", "d"]},
    )
    assert alerts.happened(bad) == {
        "anomaly": "4 anomalies: a; b; c",
        "not_blessed": "auc is 0.4",
        "infra_failed": "slow",
    }
    captions = summary(captions={"blessed": False, "reason": "no references"})
    assert alerts.happened(captions) == {"not_blessed": "no references"}


def test_a_message_names_the_run_and_is_no_novel() -> None:
    text = alerts.message("taxi", "run-1", "/runs", {"run_failed": "x" * 9_000})
    assert text.startswith("*taxi* run run-1\nrun failed: xxx") and len(text) < 3_200
    assert text.endswith("`beamfleet show run-1 --root /runs`")


def test_secrets_and_unknown_events_are_refused_at_once() -> None:
    with pytest.raises(BeamfleetError, match="names where its address lies") as caught:
        Pipeline("x").alert(f"https://hooks.slack.com/{SECRET}")
    assert SECRET not in str(caught.value)
    with pytest.raises(BeamfleetError, match=r"unknown events \['fire'\]"):
        Pipeline("x").alert("env:CHAT", on=["fire"])
