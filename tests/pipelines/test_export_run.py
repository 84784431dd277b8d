"""`beamfleet export --to mlflow|openlineage`, read back by their own libraries."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import UUID

import pytest

from components.errors import BeamfleetError
from pipelines import checks, cli
from pipelines.credentials import without_credentials
from tests.pipelines.records import Recorder, entity, put_shop

SECRET = "hunter2"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A run that is done, and one with a node from the cache and one that failed."""
    recorder = Recorder(tmp_path_factory.mktemp("look") / "shop")
    entities = [entity(f"store {i}", 0.5 + i / 100) for i in range(40)]
    made = put_shop(recorder, "run-1", entities)
    recorder.node("run-2", "ExampleGen", {}, outputs={"examples": made["examples"]}, state="CACHED")
    recorder.node(
        "run-2", "EntityTrainer", {"data": f"https://me:{SECRET}@host/x.csv?key={SECRET}#a"},
        {"examples": made["examples"]}, state="FAILED",
    )  # fmt: skip
    recorder.end("run-2", "failed")
    return recorder.root


@pytest.fixture(scope="module")
def mlflow_store(shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow") / "runs"
    for run in ("run-1", "run-2"):
        assert cli.main(["export", f"{shop}/{run}", "--to", "mlflow", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def mlflow(mlflow_store, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    mlflow.set_tracking_uri(mlflow_store.as_uri())
    mlflow.set_experiment("shop")
    return mlflow


def test_mlflow_reads_the_run(shop, mlflow):
    [run] = mlflow.search_runs(filter_string="attributes.run_name = 'run-1'", output_format="list")
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 1500
    assert run.data.params["EntityTrainer.hparams.depth"] == "3"
    assert run.data.params["ExampleGen.source.source.paths"] == '["data/shop"]'
    assert run.data.metrics["composed/accuracy"] == 0.8
    assert run.data.metrics["infra/p99_ms"] == 13.5
    assert run.data.metrics["examples/rows_in"] == 10
    assert run.data.tags["pushed"] == f"{shop}/pushed/1"
    assert run.data.tags["code.EntityTrainer.code_fingerprint"] == "t3"
    assert run.data.tags["model.EntityTrainer.model"].startswith(f"{shop}/artifacts/EntityTrainer")


def test_entities_are_one_table_and_no_metrics(mlflow):
    [run] = mlflow.search_runs(filter_string="attributes.run_name = 'run-1'", output_format="list")
    assert not [name for name in run.data.metrics if "store" in name]
    table = mlflow.load_table("entities.json", run_ids=[run.info.run_id])
    assert len(table) == 40
    [row] = table[table["entity"] == "store 7"].to_dict("records")
    assert (row["value"], row["verdict"]) == (pytest.approx(0.57), "blessed")


def test_a_failed_run_is_failed_there_and_no_secret_is(mlflow, mlflow_store):
    [run] = mlflow.search_runs(filter_string="attributes.run_name = 'run-2'", output_format="list")
    assert run.info.status == "FAILED" and run.data.tags["beamfleet.cached"] == "ExampleGen"
    assert run.data.params["EntityTrainer.data"] == "https://***@host/x.csv?...#a"
    files = [file for file in mlflow_store.rglob("*") if file.is_file()]
    assert files and not [file for file in files if SECRET in file.read_text()]


def test_nothing_is_exported_twice(shop, mlflow_store, capsys):
    command = ["export", f"{shop}/run-1", "--to", "mlflow", "--out", str(mlflow_store)]
    assert cli.main(command) == 1
    assert "is there already, as MLflow run" in capsys.readouterr().err


@pytest.fixture(scope="module")
def events(shop, tmp_path_factory):
    file = tmp_path_factory.mktemp("openlineage") / "events.jsonl"
    for run in ("run-1", "run-2"):
        out = str(file) + run
        assert cli.main(["export", f"{shop}/{run}", "--to", "openlineage", "--out", out]) == 0
    return {run: _read(f"{file}{run}") for run in ("run-1", "run-2")}


def _read(file):
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def _event(events, job, kind):
    [found] = [e for e in events if (e["job"]["name"], e["eventType"]) == (job, kind)]
    return found


def test_openlineage_takes_every_event(events):
    """Built anew by the client's types, whose validators check ids, times and addresses."""
    from openlineage.client import event_v2

    for document in events["run-1"] + events["run-2"]:
        run, job = document["run"], document["job"]
        again = event_v2.RunEvent(
            eventTime=document["eventTime"], producer=document["producer"],
            run=event_v2.Run(run["runId"], run["facets"]),
            job=event_v2.Job(job["namespace"], job["name"], job["facets"]),
            eventType=event_v2.RunState[document["eventType"]],
        )  # fmt: skip
        assert again.schemaURL == document["schemaURL"] and UUID(again.run.runId)


def test_every_node_starts_and_ends_within_its_run(events):
    first, last = events["run-1"][0], events["run-1"][-1]
    assert (first["job"]["name"], first["eventType"]) == ("shop", "START")
    assert (last["job"]["name"], last["eventType"]) == ("shop", "COMPLETE")
    kinds = {}
    for event in events["run-1"][1:-1]:
        kinds.setdefault(event["job"]["name"], []).append(event["eventType"])
        assert event["run"]["facets"]["parent"]["run"]["runId"] == first["run"]["runId"]
    assert set(map(tuple, kinds.values())) == {("START", "COMPLETE")} and len(kinds) == 5
    _event(events["run-2"], "shop.EntityTrainer", "FAIL")
    _event(events["run-2"], "shop", "FAIL")


def test_datasets_link_the_nodes_and_say_what_they_hold(shop, events):
    read = _event(events["run-1"], "shop.ExampleGen", "COMPLETE")
    assert [i["name"].rpartition("data/shop/")[2] for i in read["inputs"]] == ["a.csv", "b.csv"]
    [examples] = read["outputs"]
    assert examples["namespace"] == "file" and examples["name"].startswith(f"{shop}/artifacts")
    assert examples["facets"]["schema"]["fields"][0]["name"] == "price"
    statistics = examples["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["fileCount"]) == (9, 1)
    code = read["job"]["facets"]["beamfleet_code"]
    assert (code["source_clean"], code["clean_fingerprint"]) == ("user_code.shop.clean_fn", "c1")
    trained = _event(events["run-1"], "shop.EntityTrainer", "COMPLETE")
    assert [i["name"] for i in trained["inputs"]] == [examples["name"]]
    assert trained["inputs"][0]["inputFacets"]["dataQualityMetrics"]["rowCount"] == 9


class _Server(BaseHTTPRequestHandler):
    """Keeps what it is sent; refuses from the fourth event on, if it is told to."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(401 if len(self.server.seen) > self.server.takes else 201)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), _Server) as http:
        http.seen, http.takes = [], 1000
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http
        http.shutdown()


def test_events_are_posted_with_the_key_of_the_environment(
    shop, server, events, monkeypatch, capsys
):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
    url = f"http://127.0.0.1:{server.server_port}"
    assert cli.main(["export", f"{shop}/run-1", "--to", "openlineage", "--url", url]) == 0
    assert [body for _, _, body in server.seen] == events["run-1"]
    assert {(p, key) for p, key, _ in server.seen} == {("/api/v1/lineage", f"Bearer {SECRET}")}
    assert SECRET not in "".join(capsys.readouterr())


def test_a_server_that_refuses_is_named_without_its_password(shop, server, capsys):
    server.takes = 3
    url = f"http://me:{SECRET}@127.0.0.1:{server.server_port}"
    assert cli.main(["export", f"{shop}/run-1", "--to", "openlineage", "--url", url]) == 1
    printed = capsys.readouterr()
    assert f"http://***@127.0.0.1:{server.server_port} took 3 of 12 events" in printed.err
    assert SECRET not in printed.out + printed.err


@pytest.mark.parametrize("to", ["mlflow", "openlineage"])
def test_a_server_that_is_away_is_named_without_its_password(shop, to, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url = f"http://me:{SECRET}@127.0.0.1:9"
    assert cli.main(["export", f"{shop}/run-1", "--to", to, "--url", url]) == 1
    printed = capsys.readouterr()
    assert "***@127.0.0.1:9" in printed.err and SECRET not in printed.out + printed.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--to", "mlflow"], "--to mlflow needs one of --out and --url"),
        (["--to", "webdataset"], "--to webdataset writes files: give --out DIR"),
        (["--to", "mlflow", "--out", "x", "--caption", "all"], "--caption is for captioned images"),
        (["--to", "openlineage", "--url", "ftp://x"], "expected http:// or https://"),
        (["--to", "openlineage", "--out", __file__], "is there already; give a new file"),
    ],
)
def test_what_cannot_be_is_refused(shop, options, says, capsys):
    assert cli.main(["export", str(shop), *options]) == 1
    assert says in capsys.readouterr().err


def test_packages_that_are_absent_are_named_with_their_extra(monkeypatch):
    monkeypatch.setitem(checks.EXTRAS, "export", ("mlflow", "no_such_package"))
    with pytest.raises(BeamfleetError, match=r"no_such_package .*pip install 'beamfleet\[export"):
        checks.check_installed("export")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("s3://bucket/x y", "s3://bucket/x y"),
        ("to https://a:b@c/d?e=f, and", "to https://***@c/d?... and"),
        ("(postgres://u:p@h:1/db)", "(postgres://***@h:1/db)"),
        ("a@b.c and key?", "a@b.c and key?"),
    ],
)
def test_addresses_lose_their_secrets(text, clean):
    assert without_credentials(text) == clean
