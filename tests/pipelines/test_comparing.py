"""`beamfleet compare`, on two runs of one root, and on runs of two roots."""

import json

import pytest

from pipelines import cli
from pipelines.comparing import compare
from pipelines.comparing_metrics import improvement
from pipelines.finding import find_run
from tests.pipelines.records import Recorder, entity, put_shop
from tests.pipelines.test_cli import beamfleet


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The second run takes the rows from the cache, and trains with another depth."""
    recorder = Recorder(tmp_path_factory.mktemp("look") / "shop")
    before = [entity("a\x1b[2J", 0.9), entity("b", 0.7), entity("c", 0.8), entity("d", 0.5)]
    after = [entity("a\x1b[2J", 0.7), entity("b", 0.8), entity("c", 0.8, "kept"), entity("e", 0.5)]
    made = put_shop(recorder, "run-1", before)
    put_shop(recorder, "run-2", after, examples=made["examples"], depth=5, baseline=1, version=2,
             accuracy=0.75)  # fmt: skip
    return recorder.root


@pytest.fixture(scope="module")
def comparison(shop):
    return compare(find_run("run-1", shop), find_run("latest", shop))


def test_parameters_and_code_that_differ_are_told_apart(comparison):
    parameters = [(c.node, c.name, c.a, c.b) for c in comparison.parameters]
    assert parameters == [
        ("EntityTrainer", "hparams.depth", 3, 5),
        ("EntityEvaluator", "baseline_version", 0, 1),
        ("Pusher", "baseline_version", 0, 1),
    ]
    [code] = comparison.code
    assert (code.name, code.a, code.b) == ("code_fingerprint", "t3", "t5")


def test_rows_from_the_cache_are_the_same_rows(comparison):
    """What its driver found out is not recorded for a cached execution, but of the first one."""
    assert comparison.data == ()
    assert comparison.not_comparable == ""


def test_metrics_and_slices_have_differences(comparison):
    metrics = {(m.model, m.metric): m.difference for m in comparison.metrics}
    assert metrics == {("composed", "accuracy"): pytest.approx(-0.05), ("majority", "accuracy"): 0}
    [group] = comparison.slices
    assert (group.slice, group.rows_a, group.rows_b) == ("size=big", 9, 9)
    assert group.difference == pytest.approx(-0.05)
    assert comparison.slices_of == 1


def test_entities_that_changed_are_listed_worst_first(comparison):
    assert comparison.entities_of == 5
    changed = [(e.entity, e.verdict_a, e.verdict_b) for e in comparison.entities]
    assert changed[0] == ("a\x1b[2J", "blessed", "blessed")
    assert changed[1:3] == [("c", "blessed", "kept"), ("b", "blessed", "blessed")]
    assert changed[3:] == [("d", "blessed", None), ("e", None, "blessed")]
    assert comparison.entities[0].difference == pytest.approx(-0.2)


def test_infra_figures_and_seconds_are_side_by_side(comparison):
    figures = {change.name: (change.a, change.b) for change in comparison.infra}
    assert figures["p99_ms"] == (13.5, 22.5)
    states = {node.node: (node.state_a, node.state_b) for node in comparison.seconds}
    assert states["ExampleGen"] == ("done", "cached")
    assert list(states)[:2] == ["ExampleGen", "EntityTrainer"]


def test_the_terminal_shows_it_and_obeys_nothing(shop, capsys):
    assert cli.main(["compare", "run-1", "run-2", "--root", str(shop)]) == 0
    printed = capsys.readouterr().out
    assert "5 of 5 entities differ, worst first" in printed
    assert "hparams.depth" in printed and "metrics are of the same rows" in printed
    assert "\x1b" not in printed and r"a\x1b[2J" in printed


def test_json_has_all_of_it_and_imports_nothing_heavy(shop):
    code, printed, heavy = beamfleet("compare", f"{shop}/run-1", str(shop), "--json")
    assert code == 0
    document = json.loads(printed)
    assert document["a"]["run"] == "run-1" and document["b"]["run"] == "run-2"
    assert document["parameters"][0] == {
        "node": "EntityTrainer", "name": "hparams.depth", "a": 3, "b": 5
    }  # fmt: skip
    assert not {"tensorflow", "tfx", "apache_beam"} & set(heavy)


@pytest.mark.parametrize(("rows", "why"), [(2, ""), (3, "they were evaluated on other rows: ")])
def test_two_roots_are_compared_by_the_rows_themselves(shop, tmp_path, rows, why):
    other = Recorder(tmp_path / "other")
    put_shop(other, "run-9", [entity("b", 0.7)], eval_rows=rows)
    found = compare(find_run("run-1", shop), find_run(str(other.root), tmp_path))
    assert found.not_comparable.startswith(why) and bool(found.not_comparable) == bool(why)
    # Where the root is differs, and is no parameter.
    assert found.parameters == ()


def test_rows_that_are_gone_are_not_taken_for_the_same(shop, tmp_path):
    other = Recorder(tmp_path / "other")
    made = put_shop(other, "run-9", [entity("b", 0.7)])
    examples = other.uri(made["examples"])
    (examples / "Split-eval" / "data.parquet").unlink()
    (examples / "Split-eval").rmdir()
    examples.rmdir()
    found = compare(find_run("run-1", shop), find_run("run-9", other.root))
    assert "are gone, and cannot be compared" in found.not_comparable


def test_another_label_is_another_question(shop, tmp_path):
    other = Recorder(tmp_path / "other")
    other.node("run-9", "EntityTrainer", {"label": "profit"})
    other.node("run-9", "EntityEvaluator")
    found = compare(find_run("run-1", shop), find_run("run-9", other.root))
    assert "label is 'sales' in one and 'profit' in the other" in found.not_comparable
    assert [c.name for c in found.parameters if c.node == "Pusher"] == ["node"]


def test_runs_that_are_not_there(shop, tmp_path, capsys):
    assert cli.main(["compare", "run-1", "run-3", "--root", str(shop)]) == 1
    assert "no run 'run-3' below" in (said := capsys.readouterr().err) and "did you mean" in said
    put_shop(Recorder(shop.parent / "twin"), "run-1", [entity("b", 0.7)])
    assert cli.main(["compare", "run-1", "run-2", "--root", str(shop.parent)]) == 1
    assert "have a run 'run-1' each: name one by --root" in capsys.readouterr().err


def test_better_is_nearer_to_one_for_calibration_and_less_for_errors_of_either_model():
    assert improvement("calibration", 1.3, 1.1) > 0 > improvement("calibration", 0.9, 1.3)
    assert improvement("mse", 2.0, 1.0) == improvement("pushed_mse", 2.0, 1.0) == 1
    assert improvement("auc", 0.8, 0.7) < 0
