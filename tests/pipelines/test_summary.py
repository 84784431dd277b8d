import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipelines.metadata import Artifact, Node, Run
from pipelines.summary import summarise
from pipelines.summary_view import show_summary


def entity(name, value, verdict="blessed", serves="candidate", rows=100, metric="accuracy"):
    return {
        "entity": name, "rows": rows, "metric": metric, "value": value, "baseline": 0.5,
        "fallback_value": 0.6, "majority_value": 0.4, "verdict": verdict, "serves": serves,
        "p_value": 0.01, "reason": f"because {name}",
    }  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    def make(entities, state="done", **changed):
        evaluation, model = tmp_path / "evaluation", tmp_path / "model"
        for folder in (evaluation, model):
            folder.mkdir(exist_ok=True)
        schema = pa.Table.from_pylist([entity("x", 0.5)]).schema
        pq.write_table(
            pa.Table.from_pylist(entities, schema=schema), evaluation / "entities.parquet"
        )
        counts = {"entities": 4, "entities_trained": 2, "entities_small": 1, "entities_failed": 1,
                  "rows_trained": 3500, "rows_dropped": 400, "rows_small": 100}  # fmt: skip
        (model / "manifest.json").write_text(json.dumps({"counts": counts}))
        overall = {"composed": {"accuracy": 0.81}, "majority": {"accuracy": 0.7}}
        properties = {
            "unlabelled": {"rows_in": 52, "rows_rejected": 2, "rows_unlabelled": 50},
            "examples": {"rows_in": 6000, "rows_rejected": 3, "rows_eval": 1997,
                         "rows_train": 4000},
            "model": {},
            "evaluation": {
                "entities_blessed": 2, "entities_kept": 0, "entities_fallback": 1,
                "entities_refused": 1, "rows_evaluated": 1997, "overall": json.dumps(overall),
            },
            "blessing": {"blessed": 1},
            "infra": {"blessed": 1, "import_s": 3.1, "startup_s": 0.2, "p50_ms": 1.5,
                      "p99_ms": 4.5, "rss_mb": 300.0},
            "pushed_model": {"pushed": 1, "version": 3, "pushed_destination": "/models/shop",
                             "reason": "pushed as version 3"},
            "inference_result": {"rows_in": 50, "rows": 49, "rows_failed": 1, "rows_fallback": 7,
                                 "model_version": 3},
            **changed,
        }  # fmt: skip
        uris = {"evaluation": str(evaluation), "model": str(model)}
        places = {
            "examples": "ExampleGen", "model": "EntityTrainer", "evaluation": "EntityEvaluator",
            "blessing": "EntityEvaluator", "infra": "InfraValidator", "pushed_model": "Pusher",
            "inference_result": "BulkInferrer", "unlabelled": "UnlabelledExampleGen",
        }  # fmt: skip
        keys = {"infra": "blessing", "unlabelled": "examples"}
        outputs = {
            name: tuple(
                Artifact(keys.get(key, key), "T", uris.get(key, f"/a/{key}"), properties[key])
                for key, owner in places.items() if owner == name
            )
            for name in places.values()
        }  # fmt: skip
        nodes = tuple(Node(n, state, 100.0 + i, 1.0, made) for i, (n, made) in
                      enumerate(outputs.items()))  # fmt: skip
        return Run("20250101-000000", "shop", str(tmp_path), "done", nodes)

    return make


def shown(summary) -> str:
    console = Console(file=io.StringIO(), width=160)
    show_summary(summary, console)
    return console.file.getvalue()


def test_every_figure_that_the_issue_asks_for_is_shown(make_run):
    rows = [entity("a", 0.9), entity("b", 0.7), entity("c", None, "fallback", "fallback")]
    text = shown(summarise(make_run([*rows, entity("d", 0.2, "refused", "pushed")])))
    for expected in (
        "6,000 in, 3 rejected; 4,000 train, 1,997 eval",
        "3,500 rows in own models; left out: 400 with a missing value, 100 of small entities",
        "2 trained, 1 failed, 1 too small",
        "2 blessed, 0 kept, 1 on the fallback, 1 refused; as a whole blessed",
        "0.81 (majority 0.7)",
        "blessed (import 3.1 s, load to ready 0.20 s, p50 1.5 ms, p99 4.5 ms, 300 MB)",
        "version 3 to /models/shop",
        "beamfleet serve /models/shop",
        "49 of 50 rows predicted with version 3, 7 by the fallback, 1 failed; 2 more rows",
        "logs/20250101-000000.log",
    ):
        assert expected in text.replace("\n", " "), text


def test_a_few_entities_are_all_listed_by_what_serves_them_worst_first(make_run):
    rows = [
        entity("good", 0.9),
        entity("on fallback", 0.95, "fallback", "fallback"),
        entity("kept", 0.1, "kept", "pushed"),
    ]
    summary = summarise(make_run(rows))
    assert [row["entity"] for row in summary.entities] == ["kept", "on fallback", "good"]
    assert all(name in shown(summary) for name in ("kept", "on fallback", "good"))


def test_for_an_error_metric_the_largest_is_the_worst(make_run):
    rows = [entity(name, value, metric="mse") for name, value in (("a", 1.0), ("b", 9.0))]
    assert summarise(make_run(rows)).worst[0]["entity"] == "b"


def test_of_many_entities_the_five_worst_are_listed(make_run):
    text = shown(summarise(make_run([entity(f"e{i:03}", i / 100) for i in range(50)])))
    assert "the 5 worst of 50 entities" in text
    assert "e004" in text
    assert "e005" not in text


def test_names_are_not_taken_for_markup(make_run):
    text = shown(summarise(make_run([entity("[red]x[/red]", 0.9)])))
    assert "[red]x[/red]" in text


def test_what_was_refused_says_why(make_run):
    run = make_run(
        [entity("a", 0.9)],
        blessing={"blessed": 0, "reason": "accuracy 0.6 is below 0.7"},
        infra={"blessed": 0, "reason": "p99 is 900 ms"},
        pushed_model={"pushed": 0, "version": 2, "reason": "the model is not blessed"},
        inference_result={"rows": 0, "skipped": "nothing was pushed yet"},
    )
    text = shown(summarise(run))
    assert "not blessed: accuracy 0.6 is below 0.7" in text
    assert "not blessed: p99 is 900 ms" in text
    assert "no new version, version 2 stays: the model is not blessed" in text
    assert "skipped: nothing was pushed yet" in text


def test_cached_nodes_are_counted_and_json_is_plain(make_run):
    summary = summarise(make_run([entity("a", 0.9)], state="cached"))
    assert "7 nodes from the cache" in shown(summary)
    assert json.loads(json.dumps(summary.to_dict()))["push"]["version"] == 3


def test_a_run_with_few_nodes_has_few_lines():
    node = Node("ExampleGen", "failed", 1.0, 2.0)
    text = shown(summarise(Run("r", "shop", "/root", "failed", (node,))))
    assert "failed" in text
    assert "serving" not in text


def test_a_version_that_was_rolled_back_is_said_to_be(make_run, tmp_path):
    pushed = {"pushed": 1, "version": 3, "pushed_destination": str(tmp_path / "pushed")}
    run = make_run([entity("a", 0.9)], pushed_model=pushed)
    assert "is current now" not in shown(summarise(run))
    (tmp_path / "pushed" / "2").mkdir(parents=True)
    (tmp_path / "pushed" / "2" / "version.json").write_text(json.dumps({"number": 2}))
    (tmp_path / "pushed" / "CURRENT").write_text('{"version": 2, "highest": 3}')
    assert "version 2 is current now" in shown(summarise(run))
