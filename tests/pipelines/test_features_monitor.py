"""`beamfleet features skew` and `watch`, and `beamfleet rollback --entity`."""

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.features import FeatureService, Parquet, Source
from components.pusher.versions import PushedVersions
from pipelines import cli
from tests.components.feature_monitor.payments import push, serve, training
from tests.components.served_log.services import FRAUD, card_spend

SERVICE = f"{__name__}.WATCHED"
WATCHED = FRAUD
"""Set by `store`: its labels lie where the test put them."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two versions were pushed; the second served, and category fuel got worse."""
    push(tmp_path, 1.0)
    push(tmp_path, 2.0)
    start = datetime.now(UTC) - timedelta(days=10)
    for version in (1, 2):
        path = tmp_path / "pushed" / str(version) / "version.json"
        details = json.loads(path.read_text())
        path.write_text(json.dumps({**details, "created": (start - timedelta(days=1)).isoformat()}))
    labels = serve(tmp_path, 7, accuracy={"fuel": 0.7}, version=2, start=start)
    labels.write_parquet(tmp_path / "labels.parquet")
    training(7).write_parquet(tmp_path / "training.parquet")
    source = Source(
        "frauds", Parquet(tmp_path / "labels.parquet"), "ts", created="seen", id="txn_id"
    )
    service = FeatureService(
        "fraud", [card_spend], labels=source, label="is_fraud", request=FRAUD.request
    )
    monkeypatch.setitem(globals(), "WATCHED", service)
    return tmp_path


def watch(store: Path, *more: str) -> int:
    given = ["features", "watch", SERVICE, "--store", str(store), "--models", str(store)]
    return cli.main([*given, "--training", str(store / "training.parquet"), *more])


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[list[str]]:
    said: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            said.append(json.loads(self.rfile.read(size))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "hook").write_text(f"http://127.0.0.1:{server.server_port}/secret-path")
    yield said
    server.shutdown()


def test_watch_alerts_rolls_back_and_writes_down_why(
    store: Path, capsys: pytest.CaptureFixture[str], webhook: list[str]
) -> None:
    page = store / "page.html"
    more = ("--rollback", "--webhook", f"file:{store / 'hook'}", "--page", str(page), "--json")
    assert watch(store, *more) == 1
    found = answer(capsys)
    assert found["alarms"] == ["fuel"]
    assert found["labels"]["matched"] == 4000
    [fuel] = [one for one in found["entities"] if one["entity"] == "fuel"]
    assert fuel["action"] == "rolled back to its model of version 1, in version 3"
    assert fuel["alert"] == "sent"
    [said] = webhook
    assert "fuel: worse: accuracy 0.7" in said
    assert "version 3" in said
    current = PushedVersions(str(store / "pushed")).current()
    assert current is not None and current.number == 3
    log = (store / "served" / "fraud" / "decisions.jsonl").read_text()
    assert "secret-path" not in log + json.dumps(found) + page.read_text()
    assert "fuel" in page.read_text()
    assert page.read_text().count('class="plot"') == 4


def test_watch_prints_a_table_and_says_that_nothing_is_new(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch(store) == 1
    out = capsys.readouterr().out
    assert "fraud: version 2 served 4,000 rows" in out
    assert "fuel" in out and "worse" in out
    assert "alarm; alert: no webhook was given" in out
    assert watch(store) == 0
    assert "no new data since the last look" in capsys.readouterr().out


def test_a_webhook_that_does_not_answer_harms_nothing(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/secret-path")
    monkeypatch.setattr("pipelines.alerts._PAUSE_S", 0.0)
    monkeypatch.setattr("pipelines.alerts.send.__defaults__", (0.0,))
    assert watch(store, "--webhook", "env:HOOK", "--rollback") == 1
    captured = capsys.readouterr()
    assert "could not be sent" in captured.out
    assert "rolled back" in captured.out
    assert "secret-path" not in captured.out + captured.err


def test_hostile_text_is_not_obeyed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from components.served_log import ServedLog

    row = {"request_id": "x", "time": datetime.now(UTC) - timedelta(hours=1), "model_version": "2"}
    with ServedLog(store, FRAUD) as log:
        log.append([{**row, "entity": "\x1b[2J<script>alert(1)</script>[red]"}])
    page = store / "page.html"
    assert watch(store, "--page", str(page)) == 1
    assert "\x1b[2J" not in capsys.readouterr().out
    assert "<script>alert" not in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--webhook", "https://hooks.example/secret"], "webhook names where its address lies"),
        (["--min", "f1=1"], "no metric f1"),
        (["--min", "accuracy"], "expected METRIC=VALUE"),
        (["--wait", "soon"], "--wait is 'soon'"),
        (["--training", "/nowhere.parquet"], "cannot be read as Parquet"),
        (["--min-rows", "0"], "min_rows is 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert watch(store, *arguments) == 1
    assert says in capsys.readouterr().err
    assert not (store / "served" / "fraud" / "decisions.jsonl").exists()


def test_skew_says_which_features_differ(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["features", "skew", SERVICE, "--store", str(store)]) == 1
    assert "view 'card_spend' version 1 has no history" in capsys.readouterr().err
    _backfill(store, monkeypatch)
    end = ["--end", datetime.now(UTC).isoformat(), "--start", "2024-01-01"]
    assert cli.main(["features", "skew", SERVICE, "--store", str(store), *end]) == 1
    out = capsys.readouterr().out
    assert "card_spend.mean_4h" in out
    assert "of card_id c1 at" in out
    assert "missing offline" in out
    assert cli.main(["features", "skew", SERVICE, "--store", str(store), *end, "--json"]) == 1
    found = answer(capsys)
    assert found["alarms"] == ["card_spend.count_4h", "card_spend.mean_4h"]
    assert found["rows"] == 4000
    assert found["features"][0]["kinds"]["missing_offline"] > 3000
    allowed = [*end, "--max-share", "1"]
    assert cli.main(["features", "skew", SERVICE, "--store", str(store), *allowed]) == 0
    nothing = ["--start", "2020-01-01", "--end", "2020-01-02"]
    assert cli.main(["features", "skew", SERVICE, "--store", str(store), *nothing]) == 1
    assert "nothing was served in that time" in capsys.readouterr().out


def _backfill(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.feature_backfill.backfill import backfill

    (store / "txns").mkdir()
    time = datetime(2024, 1, 1, tzinfo=UTC)
    rows = {"card_id": ["c9"], "ts": [time], "seen": [time], "txn_id": ["1"], "amount": [1.0]}
    pl.DataFrame(rows).write_parquet(store / "txns" / "a.parquet")
    monkeypatch.chdir(store)  # the source is a relative path
    backfill(card_spend, store)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["features", "skew", SERVICE, "--store", "nowhere"],
            "no log of served vectors at nowhere",
        ),
        (["features", "skew", "nothing.at.all", "--store", "{store}"], "nothing"),
        (["features", "skew", SERVICE, "--store", "{store}", "--end", "soon"], "--end is 'soon'"),
        (["rollback", "{store}", "--entity", "nowhere"], "'nowhere' has had no model of its own"),
    ],
)
def test_what_is_not_there_is_named(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert cli.main([one.format(store=store) for one in arguments]) == 1
    assert says in capsys.readouterr().err


def test_rollback_of_one_entity(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why = ["--why", "complaints"]
    assert cli.main(["rollback", str(store), "--entity", "fuel", *why]) == 0
    out = capsys.readouterr().out
    assert "version 3 is current now (it was 2)" in out
    assert "fuel has its model of version 1" in out
    assert "all other models are those of version 2" in out
    assert cli.main(["rollback", str(store), "--entity", "books", "--json"]) == 0
    assert answer(capsys)["entities"] == {"books": 1}
    history = (store / "pushed" / "history.jsonl").read_text().splitlines()
    assert json.loads(history[-2])["why"] == "complaints"


@pytest.mark.parametrize("action", ["skew", "watch"])
def test_help_has_examples(capsys: pytest.CaptureFixture[str], action: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["features", action, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"beamfleet features {action} user_code.payments.fraud" in out
