"""Champion and challenger on one real server on the loopback, whose pushed directory changes."""

import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.infra_validator.client import Answer, Client
from components.infra_validator.process import ServerProcess, running_server
from components.pusher.splits import promote
from components.pusher.traffic import TrafficPlan, traffic_plan
from components.pusher.versions import PushedVersions
from components.traffic import variant_of
from pipelines import cli
from tests.components.model_server.behaving import request, store

HALF = {"champion": 50, "challenger": 50}
SHARES = tuple(sorted(HALF.items()))
STORES = [f"store {n}" for n in range(60)]
TRAFFIC = "/v2/models/model/traffic"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traffic")


@pytest.fixture(scope="module")
def pushed(folder: Path) -> PushedVersions:
    versions = PushedVersions(str(folder / "pushed"))
    push(versions, folder, 1.0)
    push(versions, folder, 2.0, traffic_plan(HALF))
    return versions


@pytest.fixture(scope="module")
def server(pushed: PushedVersions, folder: Path) -> Iterator[ServerProcess]:
    log = folder / "server"
    log.mkdir()
    with running_server(pushed.directory, log) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.port) as connected:
        yield connected


def push(
    versions: PushedVersions,
    folder: Path,
    value: float,
    plan: TrafficPlan | None = None,
    **how: Any,
) -> int:
    current = versions.current()
    uri = store(folder / f"made-{time.monotonic_ns()}", value, **how)
    number = current.number if current else 0
    return versions.push(uri, uri, number, keep=2, plan=plan).number


def prediction(answer: Answer) -> list[float]:
    [found] = [t["data"] for t in answer.content["outputs"] if t["name"] == "prediction"]
    return found  # type: ignore[no-any-return]


def wait_for(client: Client, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    for _ in range(150):
        content = client.call("GET", TRAFFIC).content
        if reached(content):
            return content  # type: ignore[no-any-return]
        time.sleep(0.1)
    raise AssertionError(f"not reached in 15 s: {content}")


def labels(content: dict[str, Any]) -> dict[str, str]:
    return {one["label"]: one["version"] for one in content["variants"]}


def test_an_entity_always_gets_the_variant_of_the_assignment_function(client: Client):
    for name in STORES * 2:
        answer = client.infer(request(name))
        label = variant_of(SHARES, name)
        version = {"champion": "1", "challenger": "2"}[label]
        assert answer.content["parameters"] == {"label": label}
        assert answer.content["model_version"] == version
        assert prediction(answer) == [float(version)]


def test_the_rows_of_one_request_go_each_to_its_variant(client: Client):
    answer = client.infer(request(*STORES, outputs=[{"name": "prediction"}]))
    expected = [variant_of(SHARES, name) for name in STORES]
    assert set(expected) == {"champion", "challenger"}
    assert json.loads(answer.content["parameters"]["row_labels"]) == expected
    assert answer.content["parameters"]["label"] == "champion,challenger"
    assert answer.content["model_version"] == "1,2"
    assert prediction(answer) == [1.0 if label == "champion" else 2.0 for label in expected]
    assert [t["shape"] for t in answer.content["outputs"]] == [[60]]


def test_a_row_without_entity_is_refused_and_named(client: Client):
    answer = client.infer(request(*STORES[:5], ""))
    assert answer.status == 422
    assert "entity key missing" in answer.error and "of rows" in answer.error
    malformed = client.infer({"inputs": [{"name": "store"}]})
    assert malformed.status == 400


def test_each_variant_is_counted(server: ServerProcess, client: Client):
    before = {one["label"]: one for one in client.call("GET", TRAFFIC).content["variants"]}
    client.infer(request(*STORES))
    after = {one["label"]: one for one in client.call("GET", TRAFFIC).content["variants"]}
    rows = Counter(variant_of(SHARES, name) for name in STORES)
    for label, value in (("champion", 1.0), ("challenger", 2.0)):
        assert after[label]["requests"] == before[label]["requests"] + 1
        assert after[label]["rows"] == before[label]["rows"] + rows[label]
        assert 0 < after[label]["p50_ms"] <= after[label]["p95_ms"] <= after[label]["p99_ms"]
        assert (after[label]["mean_prediction"], after[label]["std_prediction"]) == (value, 0)
    address = f"http://127.0.0.1:{server.port}/metrics"
    text = urllib.request.urlopen(address).read().decode()
    count = after["challenger"]["requests"]
    sample = f'beamfleet_variant_requests_total{{label="challenger",version="2"}} {count:.1f}'
    assert sample in text
    assert 'beamfleet_variant_latency_ms{label="champion",quantile="0.99",version="1"}' in text


def test_the_command_shows_terms_and_counts(
    server: ServerProcess, pushed: PushedVersions, capsys: pytest.CaptureFixture[str]
):
    address = f"http://127.0.0.1:{server.port}"
    assert cli.main(["traffic", pushed.directory, "--server", address]) == 0
    printed = capsys.readouterr().out
    assert "the split is running" in printed and "50%" in printed and "mean 2" in printed
    assert cli.main(["traffic", pushed.directory, "--server", address, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [(v["label"], v["version"]) for v in content["variants"]] == [
        ("champion", 1), ("challenger", 2)
    ]  # fmt: skip
    assert content["variants"][1]["counts"]["requests"] > 0
    assert content["traffic"]["shares"] == HALF
    assert cli.main(["traffic", pushed.directory, "--server", "http://127.0.0.1:9"]) == 0
    assert "does not answer" in capsys.readouterr().out


def test_a_torn_manifest_leaves_all_as_it_was_and_says_so(client: Client, pushed: PushedVersions):
    path = Path(pushed.directory, "CURRENT")
    whole = path.read_text()
    for torn in (whole[:60], whole.replace('"shares"', '"sharez"')):
        path.write_text(torn)
        content = wait_for(client, lambda c: "CURRENT is broken" in c["failure"])
        assert labels(content) == {"champion": "1", "challenger": "2"}
        name = next(n for n in STORES if variant_of(SHARES, n) == "challenger")
        assert client.infer(request(name)).content["parameters"]["label"] == "challenger"
        path.write_text(whole)
        wait_for(client, lambda c: c["failure"] == "")


def test_by_request_the_id_or_a_parameter_decides(client: Client, pushed: PushedVersions):
    push_terms(pushed, traffic_plan(HALF, by="request"))
    time.sleep(1.5)
    for key in range(40):
        label = variant_of(SHARES, str(key))
        by_id = client.infer(request("store 1", "store 2", id=str(key)))
        assert by_id.content["parameters"] == {"label": label}
        by_parameter = request("store 1", id="same", parameters={"sticky_key": key})
        assert client.infer(by_parameter).content["parameters"] == {"label": label}
    anonymous = Counter(
        client.infer(request("store 1")).content["parameters"]["label"] for _ in range(60)
    )
    assert set(anonymous) == {"champion", "challenger"}  # by chance, 2 in 10^18 otherwise
    assert client.infer(request("a", parameters={"sticky_key": []})).status == 400
    assert client.infer(request("a", parameters=[])).status == 400


def push_terms(pushed: PushedVersions, plan: TrafficPlan) -> None:
    """Gives the challenger other terms, as a run of a changed pipeline does."""
    _, split = pushed.traffic()
    assert split is not None
    version = pushed.version(split.challenger)
    pushed.push(version.path, "same", version.details["baseline_version"], 2, plan)


def test_outside_its_time_the_champion_answers_all(client: Client, pushed: PushedVersions):
    name = next(n for n in STORES if variant_of(SHARES, n) == "challenger")
    end = datetime.now(UTC) + timedelta(seconds=3)
    push_terms(pushed, traffic_plan(HALF, end=end))
    while datetime.now(UTC) < end - timedelta(seconds=0.3):
        time.sleep(0.1)
    assert client.infer(request(name)).content["parameters"]["label"] == "challenger"
    while datetime.now(UTC) < end:
        time.sleep(0.02)
    assert client.infer(request(name)).content["parameters"]["label"] == "champion"
    wait_for(client, lambda c: labels(c) == {"champion": "1"})  # unloaded
    push_terms(pushed, traffic_plan(HALF))
    wait_for(client, lambda c: labels(c) == {"champion": "1", "challenger": "2"})


def test_all_changes_under_load_lose_no_request(
    server: ServerProcess, client: Client, pushed: PushedVersions, folder: Path
):
    seen: set[tuple[str, str]] = set()
    problems: list[str] = []
    stop = threading.Event()

    def load(names: list[str]) -> None:
        with Client(server.port) as own:
            while not stop.is_set():
                answer = own.infer(request(*names))
                if answer.status != 200:
                    problems.append(answer.error)
                    continue
                versions = answer.content["model_version"].split(",")
                if not set(prediction(answer)) <= {float(v) for v in versions}:
                    problems.append(str(answer.content))
                labelled = answer.content["parameters"]["label"].split(",")
                seen.update(zip(labelled, versions, strict=True))

    threads = [threading.Thread(target=load, args=(n,)) for n in (STORES[:1], STORES[1:9])]
    for thread in threads:
        thread.start()
    promote(pushed.directory)
    wait_for(client, lambda c: labels(c) == {"champion": "2"})
    third = push(pushed, folder, 3.0, traffic_plan(HALF))
    wait_for(client, lambda c: labels(c) == {"champion": "2", "challenger": "3"})
    pushed.rollback()
    wait_for(client, lambda c: labels(c) == {"champion": "2"})
    push(pushed, folder, 4.0)  # removes version 1 and 2 is not kept for long
    push(pushed, folder, 5.0, traffic_plan(HALF))
    wait_for(client, lambda c: labels(c) == {"champion": "4", "challenger": "5"})
    stop.set()
    for thread in threads:
        thread.join()
    assert (third, problems) == (3, [])
    assert {("champion", "2"), ("challenger", "3"), ("champion", "4")} <= seen
    assert [v.number for v in pushed.versions()] == [4, 5]


def test_a_damaged_challenger_is_left_out_and_no_request_fails(
    client: Client, pushed: PushedVersions
):
    [shard] = Path(pushed.version(5).path, "shards").iterdir()
    whole = shard.read_bytes()
    push_terms(pushed, traffic_plan(HALF, by="request"))
    pushed.rollback()  # the server forgets version 5
    wait_for(client, lambda c: labels(c) == {"champion": "4"})
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    content = json.loads(Path(pushed.directory, "CURRENT").read_text())
    record = Path(pushed.directory, "history.jsonl").read_text()
    assert '"rollback"' in record
    split = {**traffic_plan(HALF).to_dict(), "id": "0" * 32, "stopped": None}
    split["labels"] = {"champion": 4, "challenger": 5}
    Path(pushed.directory, "CURRENT").write_text(json.dumps({**content, "traffic": split}))
    failed = wait_for(client, lambda c: bool(c["failure"]))
    assert "SHA-256" in failed["failure"] and labels(failed) == {"champion": "4"}
    assert client.infer(request(*STORES)).content["parameters"] == {"label": "champion"}
    assert client.is_ready()
    pushed.rollback()
    wait_for(client, lambda c: c["failure"] == "")


def test_a_shadow_neither_slows_nor_breaks_an_answer(
    client: Client, pushed: PushedVersions, folder: Path
):
    plan = traffic_plan({"champion": 1, "challenger": 0}, shadow=True)
    number = str(push(pushed, folder, 6.0, plan, sleep_s=0.5))
    wait_for(client, lambda c: labels(c) == {"champion": "4", "challenger": number})
    answers = [client.infer(request(*STORES[:3])) for _ in range(30)]
    assert {answer.content["model_version"] for answer in answers} == {"4"}
    assert sorted(answer.milliseconds for answer in answers)[27] < 250
    content = wait_for(client, lambda c: c["variants"][1]["requests"] >= 2)
    shadow = content["variants"][1]
    assert shadow["p50_ms"] >= 500 and shadow["mean_prediction"] == 6.0
    assert shadow["shadow_skipped"] >= 10  # it cannot keep up, and is not waited for
    assert shadow["shadow_different"] == shadow["shadow_compared"] > 0
    pushed.rollback()
    number = str(push(pushed, folder, 7.0, plan, fails=True))
    wait_for(client, lambda c: labels(c) == {"champion": "4", "challenger": number})
    assert {client.infer(request("a")).status for _ in range(20)} == {200}
    content = wait_for(client, lambda c: c["variants"][1]["errors"] >= 4)
    assert content["variants"][0]["errors"] == 0
    pushed.rollback()


@pytest.mark.parametrize(
    ("how", "rule", "says"),
    [
        ({"fails": True}, {"max_error_share": 0.02, "min_requests": 20}, "requests failed, at"),
        ({"sleep_s": 0.05}, {"max_p99_ms": 40, "min_requests": 20}, "took longer than 40 ms"),
    ],
)
def test_a_challenger_that_breaks_its_rule_is_sent_away(
    client: Client,
    pushed: PushedVersions,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    how: dict[str, Any],
    rule: dict[str, float],
    says: str,
):
    number = str(push(pushed, folder, 8.0, traffic_plan(HALF, by="request", stop_rule=rule), **how))
    wait_for(client, lambda c: labels(c) == {"champion": "4", "challenger": number})
    for key in range(60):
        client.infer(request("a", id=str(key)))
    wait_for(client, lambda c: labels(c) == {"champion": "4"})
    assert {client.infer(request("a", id=str(key))).status for key in range(60)} == {200}
    for _ in range(50):
        _, split = pushed.traffic()
        if split is not None and split.stopped:
            break
        time.sleep(0.1)
    assert split is not None and says in split.stopped
    assert cli.main(["traffic", pushed.directory]) == 0
    assert f"the split is stopped since {split.stopped_at}: " in capsys.readouterr().out
    last = Path(pushed.directory, "history.jsonl").read_text().splitlines()[-1]
    assert says in json.loads(last)["why"]
    pushed.rollback()
    wait_for(client, lambda c: c["state"] == "none")


def test_a_good_challenger_is_not_sent_away(client: Client, pushed: PushedVersions, folder: Path):
    rule = {"max_error_share": 0.0, "max_p99_ms": 2_000, "min_requests": 5}
    number = str(push(pushed, folder, 9.0, traffic_plan(HALF, by="request", stop_rule=rule)))
    wait_for(client, lambda c: labels(c) == {"champion": "4", "challenger": number})
    for key in range(60):
        client.infer(request("a", id=str(key)))
        client.infer({"inputs": []})  # the client's mistakes are not the challenger's
    time.sleep(1.5)
    assert labels(client.call("GET", TRAFFIC).content)["challenger"] == number
