"""`beamfleet lineage`: up to the input files, down to what was made, through the cache."""

import json
import re

import pytest

from pipelines import cli
from tests.pipelines.records import Recorder, entity, put_shop
from tests.pipelines.test_cli import beamfleet


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Two runs share the rows, the second is compared with the version of the first."""
    recorder = Recorder(tmp_path_factory.mktemp("look") / "shop")
    first = put_shop(recorder, "run-1", [entity("a", 0.9)])
    second = put_shop(recorder, "run-2", [entity("a", 0.8)], examples=first["examples"], depth=5,
                      baseline=1, version=2)  # fmt: skip
    recorder.node("run-3", "EntityTrainer", {"train_fn": "user_code.shop.train_fn"},
                  {"examples": first["examples"]}, state="FAILED")  # fmt: skip
    return recorder, first, second


def lineage(capsys, *arguments):
    assert cli.main(["lineage", *map(str, arguments), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    nodes = {node["id"]: node for node in document["nodes"]}
    edges = {(edge["from"], edge["to"]): edge["key"] for edge in document["edges"]}
    return document["artifact"], nodes, edges


def steps(nodes):
    return sorted((n["node"], n["run"]) for n in nodes.values() if n["kind"] == "step")


def test_a_pushed_version_goes_back_to_the_files(shop, capsys):
    recorder, first, second = shop
    found, nodes, edges = lineage(capsys, recorder.root / "pushed" / "2", "--up")
    assert found == second["pushed_model"]
    [source] = [n for n in nodes.values() if n["kind"] == "step" and n["node"] == "ExampleGen"]
    assert source["source"] == {
        "files": ["data/shop/a.csv", "data/shop/b.csv"], "fingerprint": "f1"
    }  # fmt: skip
    assert source["code"] == {
        "clean_fingerprint": "c1", "source.clean": "user_code.shop.clean_fn"
    }  # fmt: skip
    [trained] = [
        n for n in nodes.values() if n.get("node") == "EntityTrainer" and n["run"] == "run-2"
    ]
    assert trained["code"] == {"code_fingerprint": "t5", "train_fn": "user_code.shop.train_fn"}
    # The version that it was compared with, and what made that one, are part of its story.
    assert first["pushed_model"] in nodes
    assert "version 1" in edges.values()


def test_what_the_cache_shares_is_one_step(shop, capsys):
    recorder, first, _ = shop
    _, nodes, _ = lineage(capsys, recorder.uri(first["examples"]))
    made = [n for n in nodes.values() if n["kind"] == "step" and n["node"] == "ExampleGen"]
    assert [(n["run"], n["reused_by"]) for n in made] == [("run-1", ["run-2"])]


def test_down_has_all_runs_and_nothing_that_made_it(shop, capsys):
    recorder, first, second = shop
    _, nodes, _ = lineage(capsys, recorder.uri(first["examples"]), "--down")
    assert {first["pushed_model"], second["pushed_model"]} <= set(nodes)
    assert ("ExampleGen", "run-1") not in steps(nodes)
    assert ("EntityTrainer", "run-3") in steps(nodes)  # a failed one read it, too
    _, nodes, _ = lineage(capsys, recorder.uri(second["model"]), "--down")
    assert first["model"] not in nodes and {run for _, run in steps(nodes)} == {"run-2"}


@pytest.mark.parametrize("within", ["", "Split-eval", "Split-eval/data.parquet"])
def test_a_path_in_an_artifact_is_the_artifact(shop, capsys, within):
    recorder, first, _ = shop
    found, _, _ = lineage(capsys, recorder.uri(first["examples"]) / within)
    assert found == first["examples"]


def test_an_id_and_the_end_of_a_path_need_a_root(shop, capsys):
    recorder, first, _ = shop
    for given in (first["model"], f"EntityTrainer/model/{first['model']}"):
        found, _, _ = lineage(capsys, given, "--root", recorder.root)
        assert found == first["model"]


def test_the_trees_name_files_code_and_runs(shop, capsys):
    recorder, _, second = shop
    assert cli.main(["lineage", str(recorder.uri(second["model"]))]) == 0
    printed = capsys.readouterr().out
    up, down = printed.split("made from")
    assert "files data/shop/a.csv, data/shop/b.csv  fingerprint f1" in up
    assert "code train_fn user_code.shop.train_fn" in up
    assert re.search(r"ExampleGen of run run-1 \(cached for run-2\)", up)
    assert "10 rows_in, 1 rows_rejected" in up
    assert "Pusher of run run-2 (see above)" in down
    assert "Pusher of run run-2" in down and "Pusher" not in up


def test_what_made_several_things_is_told_once(shop, capsys):
    recorder, _, _ = shop
    assert cli.main(["lineage", str(recorder.root / "pushed" / "2"), "--up"]) == 0
    printed = capsys.readouterr().out
    assert (
        printed.count("files data/shop") == 1 and "ExampleGen of run run-1 (see above)" in printed
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("{root}/artifacts/EntityTrainr/model/3", "close ones are EntityTrainer/model/"),
        ("999", "no artifact '999' in"),
    ],
)
def test_an_unknown_one_is_refused(shop, capsys, given, says):
    recorder, _, _ = shop
    given = given.format(root=recorder.root)
    assert cli.main(["lineage", given, "--root", str(recorder.root)]) == 1
    assert says in capsys.readouterr().err


def test_an_id_of_two_roots_is_no_answer(shop, capsys):
    recorder, first, _ = shop
    put_shop(Recorder(recorder.root.parent / "twin"), "run-1", [entity("b", 0.7)])
    assert cli.main(["lineage", str(first["model"]), "--root", str(recorder.root.parent)]) == 1
    assert "may be" in (said := capsys.readouterr().err) and "give the path, or --root" in said


def test_nothing_heavy_is_imported(shop):
    recorder, _, _ = shop
    code, printed, heavy = beamfleet("lineage", str(recorder.root / "pushed" / "1"))
    assert code == 0, printed
    assert not {"tensorflow", "tfx", "apache_beam", "pyarrow"} & set(heavy)
