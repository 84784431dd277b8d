import dataclasses
import io
import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from components.entity_evaluator.tables import GAP
from pipelines import fairness
from pipelines.entities import gain, pick
from pipelines.metadata import Artifact, Node, Run
from pipelines.summary import summarise
from pipelines.summary_view import show_summary


def push(directory, number):
    (directory / str(number)).mkdir(parents=True)
    (directory / str(number) / "version.json").write_text(json.dumps({"number": number}))
    (directory / "CURRENT").write_text(f'{{"version": {number}, "highest": {number}}}')


def entity(name, value, verdict="blessed", serves="candidate", rows=100, metric="accuracy"):
    return {
        "entity": name, "rows": rows, "metric": metric, "value": value, "baseline": 0.5,
        "fallback_value": 0.6, "majority_value": 0.4, "verdict": verdict, "serves": serves,
        "p_value": 0.01, "reason": f"because {name}",
    }  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    push(tmp_path / "shop", 3)

    def make(entities, state="done", columns=("education",), **changed):
        evaluation, model = tmp_path / "evaluation", tmp_path / "model"
        for folder in (evaluation, model):
            folder.mkdir(exist_ok=True)
        schema = pa.Table.from_pylist([entity("x", 0.5)]).schema
        pq.write_table(
            pa.Table.from_pylist(entities, schema=schema), evaluation / "entities.parquet"
        )
        counts = {"entities": 4, "entities_trained": 2, "entities_small": 1, "entities_failed": 1,
                  "rows_trained": 3500, "rows_dropped": 400, "rows_small": 100,
                  "rows_without_entity": 7}  # fmt: skip
        manifest = {"counts": counts, "spec": {"entity_columns": columns}}
        (model / "manifest.json").write_text(json.dumps(manifest))
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
            "pushed_model": {"pushed": 1, "version": 3, "reason": "pushed as version 3",
                             "pushed_destination": str(tmp_path / "shop")},
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
        parameters = {"min_eval_rows": 30, "slices": '[["sex", "race"]]'}
        nodes = tuple(Node(n, state, 100.0 + i, 1.0, made, parameters=parameters)
                      for i, (n, made) in enumerate(outputs.items()))  # fmt: skip
        return Run("20250101-000000", "shop", str(tmp_path), "done", nodes)

    return make


def shown(summary, **options) -> str:
    console = Console(file=io.StringIO(), width=160)
    show_summary(summary, console, **options)
    return console.file.getvalue()


def test_every_figure_that_the_issue_asks_for_is_shown(make_run):
    rows = [entity("a", 0.9), entity("b", 0.7), entity("c", None, "fallback", "fallback")]
    text = shown(summarise(make_run([*rows, entity("d", 0.2, "refused", "pushed")])))
    for expected in (
        "6,000 in, 3 rejected; 4,000 train, 1,997 eval",
        "3,500 rows in own models; not used: 400 with a missing value, 7 without an entity key",
        "(they can never be predicted: name an entity in clean); only in the fallback: 100 of",
        "2 trained, 1 failed, 1 too small",
        "2 blessed, 0 kept, 1 on the fallback, 1 refused; as a whole blessed",
        "0.81 (majority 0.7)",
        "blessed (import 3.1 s, load to ready 0.20 s, p50 1.5 ms, p99 4.5 ms, 300 MB)",
        "version 3 to /",
        "beamfleet serve /",
        "sex x race: tfma.load_eval_result(",
        "entity table",
        "/evaluation/entities.parquet",
        "49 of 50 rows predicted with version 3, 7 by the fallback, 1 failed; 2 more rows",
        "logs/20250101-000000.log",
    ):
        assert expected in " ".join(text.split()), text


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
    assert summarise(make_run(rows)).entities[0]["entity"] == "b"


def test_of_many_entities_the_five_worst_are_listed(make_run):
    text = shown(summarise(make_run([entity(f"e{i:03}", i / 100) for i in range(50)])))
    assert "the 5 worst of 50 entities" in text
    assert "e004" in text
    assert "e005" not in text


def test_of_many_entities_those_with_enough_rows_and_own_models_stand_out(make_run):
    large = [entity(f"e{i:03}", 0.5 + i / 100, rows=100 * (i + 1)) for i in range(30)]
    small = [entity(f"s{i}", 0.0, "fallback", "fallback", rows=2) for i in range(40)]
    summary = summarise(make_run([*large, *small]))
    text = " ".join(shown(summary).split())
    assert "the 5 worst of 30 entities with 30 rows or more, worst first" in text
    assert "the 5 largest gains of own models over the fallback" in text
    assert "s0" not in text
    assert text.index("e004") < text.index("e029") < text.index("e025")
    assert (
        "40 with fewer than 30 rows, together 80 rows: 40 on the fallback; accuracy 0.6 (fallback"
    ) in text
    assert f"beamfleet show 20250101-000000 --root {summary.root} --all" in text
    assert "s39" in shown(summary, everything=True)


def test_the_gain_has_the_sign_of_the_metric():
    worse = entity("a", 0.7, metric="mae")  # the fallback has 0.6
    assert gain(worse) == pytest.approx(-10)
    assert gain(entity("a", 0.7)) == pytest.approx(10)
    assert gain(entity("a", 0.9, "fallback", "fallback")) == 0
    assert pick([worse] * 30, 30).gains == ()


def test_where_no_entity_has_enough_rows_all_are_picked_from():
    picked = pick([entity(f"e{i}", 0.5, rows=3) for i in range(30)], 30)
    assert (picked.of, picked.small) == (30, ())


def test_that_no_entity_earned_a_model_is_said_to_be_normal(make_run):
    fallback = entity("a", 0.9, "fallback", "fallback")
    words = "no entity earned its own model"
    assert words in shown(summarise(make_run([fallback])))
    assert words not in shown(summarise(make_run([fallback, entity("b", 0.9)])))


def test_notes_of_the_evaluation_are_shown(make_run):
    run = make_run([entity("a", 0.9)], evaluation={"notes": "the \x1bpushed one [so] stays"})
    assert r"the \x1bpushed one [so] stays" in shown(summarise(run))


def test_a_constant_is_called_so_for_regression(make_run):
    overall = {"composed": {"mae": 2.0}, "majority": {"mae": 3.0}}
    run = make_run([entity("a", 0.9)], evaluation={"overall": json.dumps(overall)})
    assert "2 (constant 3)" in shown(summarise(run))


def test_keys_of_several_columns_are_shown_in_words(make_run):
    rows = [entity('["Sales", "Male"]', 0.9)]
    text = shown(summarise(make_run(rows, columns=("occupation", "sex"))))
    assert "occupation / sex" in text
    assert "Sales / Male " in text
    assert '["Sales", "Male"]' in shown(summarise(make_run(rows)))


def test_the_largest_gap_between_groups_is_shown(make_run, tmp_path):
    def row(column, group, accuracy, recall, reason=""):
        return {"column": column, "group": group, "rows": 50, "accuracy": accuracy,
                "recall": recall, "reason": reason}  # fmt: skip

    assert fairness.GAP == GAP
    rows = [row("sex", "f", 0.9, 0.5), row("sex", "m", 0.8, 0.9), row("sex", "x", 0.1, 0.1, "few"),
            row("sex", GAP, 0.1, 0.4, "over 2 groups"), row("age", GAP, None, None)]  # fmt: skip
    run = make_run([entity("a", 0.9)])
    file = tmp_path / "evaluation" / "fairness.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    text = " ".join(shown(summarise(run)).split())
    assert "largest gap 0.4: recall 0.9 of m, 0.5 of f (sex);" in text
    assert "fairness.parquet" in text
    pq.write_table(pa.Table.from_pylist(rows[-1:]), file)
    assert "fewer than two groups" in shown(summarise(run))


def test_names_are_not_taken_for_markup(make_run):
    text = shown(summarise(make_run([entity("[red]x[/red]", 0.9)])))
    assert "[red]x[/red]" in text


def test_reasons_and_places_are_not_taken_for_markup(make_run):
    infra = {"blessed": 0, "reason": "row [/b] \x1b[2J is slow"}
    skipped = {"skipped": "nothing was pushed to /a/[/b] yet"}
    pushed = {"pushed": 0, "version": 3, "reason": "-", "pushed_destination": "/a/[/b]"}
    run = make_run([], infra=infra, inference_result=skipped, pushed_model=pushed)
    text = shown(summarise(dataclasses.replace(run, root="/r/[/b]")))
    assert r"row [/b] \x1b[2J is slow" in text
    assert "pushed to /a/[/b] yet" in text and "/r/[/b]/logs" in text


def test_the_notes_of_every_warm_start_are_kept(make_run):
    def trained(name, **said):
        model = Artifact("model", "Model", f"/{name}", {"warm_start": "/first", **said})
        return Node(name, "done", 1.0, 1.0, (model,))

    run = make_run([])
    nodes = (trained("Trainer-deep"), trained("Trainer-wide", notes="did not take its weights"))
    found = summarise(dataclasses.replace(run, nodes=nodes)).warm_start
    assert found == {"uri": "/first", "notes": "wide: did not take its weights"}
    alone = dataclasses.replace(run, nodes=(trained("Trainer", notes="moved"),))
    assert summarise(alone).warm_start["notes"] == "moved"


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
    assert re.search("version 3 was pushed to .* earlier", shown(summary))
    assert json.loads(json.dumps(summary.to_dict()))["push"]["version"] == 3


def test_a_run_with_few_nodes_has_few_lines():
    node = Node("ExampleGen", "failed", 1.0, 2.0)
    text = shown(summarise(Run("r", "shop", "/root", "failed", (node,))))
    assert "failed" in text
    assert "serving" not in text


def test_a_version_that_was_rolled_back_is_said_to_be(make_run, tmp_path):
    run = make_run([entity("a", 0.9)])
    assert "is current now" not in shown(summarise(run))
    push(tmp_path / "shop", 2)
    assert "version 2 is current now" in shown(summarise(run))


def test_a_version_that_is_gone_is_said_to_be(make_run, tmp_path):
    run = make_run([entity("a", 0.9)])
    shutil.rmtree(tmp_path / "shop")
    text = shown(summarise(run))
    assert "version 3 is NOT there any more" in text
    assert "beamfleet serve" not in text
