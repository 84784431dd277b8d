"""The whole evaluation, on the real Beam runner, TFXIO and TFMA."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.entity_models.spec import ModelSpec
from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from tests.components.entity_evaluator.worlds import (
    CLASSES,
    FEATURES,
    REGRESSION,
    census,
    run,
    store,
)

pytestmark = pytest.mark.e2e
WRONG = {"new": 0.1, "old": 0.2, "fallback": 0.25}


def _column(entities: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    return {entity: row[name] for entity, row in entities.items()}


def test_first_version(tmp_path: Path) -> None:
    rows = {"better": 400, "same": 400, "é/../small": 5, "unseen": 50}
    table = census(rows, WRONG)
    candidate = store(tmp_path / "model", {"better": "new", "same": "fallback", "é/../small": None})
    result, entities, folder = run(
        tmp_path, table, candidate, slices=[["education"]], fairness=["sex"]
    )

    assert result.blessed, result.objections
    assert _column(entities, "rows") == rows
    assert {entity: row["verdict"] for entity, row in entities.items()} == {
        "better": "blessed",
        "same": "fallback",
        "é/../small": "fallback",
        "unseen": "fallback",
    }
    assert entities["unseen"]["value"] is None
    assert entities["better"]["value"] == entities["better"]["accuracy"]
    assert sum(cell["count"] for cell in entities["better"]["confusion"]) == 400

    composed = EntityModels(str(folder / "composed"))
    original = EntityModels(candidate)
    entry, first = composed.entry("better"), original.entry("better")
    assert entry and first and entry.sha256 == first.sha256
    assert json.loads(entry.metrics or "")["accuracy"] == entities["better"]["accuracy"]
    assert len(composed) == 1
    assert composed.fallback_entry

    _check_tfma(folder, result.overall["composed"], entities)
    groups = pq.read_table(folder / "evaluation" / "fairness.parquet").to_pylist()
    by_group = {row["group"]: row for row in groups}
    gap = abs(by_group["Female"]["accuracy"] - by_group["Male"]["accuracy"])
    assert by_group["(gap)"]["accuracy"] == pytest.approx(gap)
    assert not list((folder / "evaluation").glob("predictions*")), "rows of people are left"


def _check_tfma(folder: Path, overall: Any, entities: dict[str, dict[str, Any]]) -> None:
    import tensorflow_model_analysis as tfma

    evaluation = tfma.load_eval_result(str(folder / "evaluation"))
    slices = dict(evaluation.slicing_metrics)
    assert {key[0] for key in slices if key} == {
        *(("education", entity) for entity in entities),
        ("sex", "Female"),
        ("sex", "Male"),
    }
    found = {key[0][1] if key else "": m[""][""] for key, m in slices.items()}
    assert found[""]["binary_accuracy"]["doubleValue"] == pytest.approx(overall["accuracy"])
    for entity, row in entities.items():
        assert found[entity]["binary_accuracy"]["doubleValue"] == pytest.approx(row["accuracy"])
        assert found[entity]["example_count"]["doubleValue"] == row["rows"]


def test_second_version_over_the_pushed_one(tmp_path: Path) -> None:
    table = census(dict.fromkeys("abcdefg", 200), {**WRONG, "bad": 0.4})
    spec = ModelSpec(
        ("education",), "income", "classification", (*FEATURES, ("bad", "double")), CLASSES
    )
    pushed = store(
        tmp_path / "pushed", {"a": "old", "b": "old", "c": "old", "d": "bad", "f": "old"}, spec=spec
    )
    candidate = store(
        tmp_path / "model",
        {"a": "new", "b": "bad", "c": None, "d": "bad", "e": "new", "f": "old"},
        spec=spec,
    )
    result, entities, folder = run(
        tmp_path, table, candidate, pushed, slices=[["education"], ["sex"]]
    )
    _check_slices(folder, table, entities, result)
    assert _column(entities, "verdict") == {
        "a": "blessed",  # refreshed
        "b": "kept",  # the new one is worse
        "c": "kept",  # no new one
        "d": "fallback",  # pushed, the same, and worse than the fallback
        "e": "blessed",  # new and better
        "f": "kept",  # unchanged
        "g": "fallback",  # neither
    }
    assert entities["f"]["reason"] == "unchanged"
    assert entities["c"]["reason"].startswith("no own model in the candidate (small: 3 rows)")
    assert result.blessed and not result.unchanged
    composed = EntityModels(str(folder / "composed"))
    columns = {e: getattr(composed.model(e)[0], "column") for e in "abcdefg"}  # noqa: B009
    assert columns == {
        "a": "new",
        "b": "old",
        "c": "old",
        "d": "fallback",
        "e": "new",
        "f": "old",
        "g": "fallback",
    }
    assert result.counts["entities_kept"] == 3


def _check_slices(
    folder: Path, table: pa.Table, entities: dict[str, dict[str, Any]], result: Any
) -> None:
    """What will serve beside what serves, counted again from the columns that they read."""
    rows = pq.read_table(folder / "evaluation" / "slices.parquet").to_pylist()
    by_name = {row["slice"]: row for row in rows}
    assert list(by_name) == ["overall", *(f"education={e}" for e in "abcdefg"), "sex=Female",
                             "sex=Male"]  # fmt: skip
    composed = {**dict.fromkeys("ae", "new"), **dict.fromkeys("bcf", "old"),
                **dict.fromkeys("dg", "fallback")}  # fmt: skip
    pushed = {**dict.fromkeys("abcdefg", "fallback"), **dict.fromkeys("abcf", "old"), "d": "bad"}
    found: dict[str, list[tuple[bool, bool]]] = {}
    for row in table.to_pylist():
        label, entity = row["income"] == CLASSES[1], row["education"]
        pair = tuple((row[serves[entity]] > 0.5) == label for serves in (composed, pushed))
        for name in ("overall", f"education={entity}", f"sex={row['sex']}"):
            found.setdefault(name, []).append(pair)
    for name, pairs in found.items():
        row, (ours, theirs) = by_name[name], np.mean(pairs, axis=0)
        assert row["rows"] == len(pairs), name
        assert (row["accuracy"], row["pushed_accuracy"]) == pytest.approx((ours, theirs)), name
        assert row["accuracy_low"] < ours < row["accuracy_high"], name
    assert by_name["education=a"]["auc"] == entities["a"]["auc"]
    for model, prefix in (("composed", ""), ("pushed", "pushed_")):
        for metric, value in result.overall[model].items():
            assert by_name["overall"][f"{prefix}{metric}"] == pytest.approx(value), metric


def test_the_same_candidate_again_is_unchanged_byte_for_byte(tmp_path: Path) -> None:
    table = census({"a": 300, "b": 300}, WRONG)
    candidate = store(tmp_path / "model", {"a": "new", "b": "fallback"})
    _, first, folder = run(tmp_path / "1", table, candidate)
    pushed = str(folder / "composed")
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    result, second, again = run(tmp_path / "2", shuffled, candidate, pushed)
    assert result.unchanged
    assert result.blessed, result.objections
    assert _column(first, "verdict") == {"a": "blessed", "b": "fallback"}
    assert _column(second, "verdict") == {"a": "kept", "b": "fallback"}
    assert EntityModels(str(again / "composed")).fingerprint == EntityModels(pushed).fingerprint
    assert _column(first, "log_loss") == _column(second, "log_loss"), "row order must not matter"


def test_a_candidate_worse_than_what_is_pushed_is_not_blessed_as_a_whole(tmp_path: Path) -> None:
    """A worse fallback is not taken over; a drop beyond max_drop is named."""
    table = census({"a": 300, "b": 300}, {"new": 0.4, "old": 0.1, "fallback": 0.2})
    pushed = store(tmp_path / "pushed", {}, fallback="old")
    candidate = store(tmp_path / "model", {}, fallback="new")
    result, _, folder = run(tmp_path, table, candidate, pushed, thresholds={"f1": {"min": 0.99}})
    kept = EntityModels(str(folder / "composed")).fallback_entry
    theirs = EntityModels(pushed).fallback_entry
    assert kept and theirs and kept.sha256 == theirs.sha256
    assert result.unchanged
    assert any("fallback is significantly worse" in note for note in result.notes)
    [objection] = result.objections
    assert objection.startswith("f1 is 0.") and objection.endswith("the threshold is 0.99")


def test_bad_rows_are_counted_and_named(tmp_path: Path) -> None:
    table = census({"a": 95}, {"new": 0.1, "old": 0.2, "fallback": 0.25})
    extra = pa.table(
        {
            "education": ["a", None, "a", "b", "b"],
            "income": ["<=50K", ">50K", None, "rich", ">50K"],
            "sex": ["Male", None, "Male", "Male", None],
            "new": [0.1, 0.1, 0.1, 0.1, 0.1],
            "old": [0.1, 0.1, 0.1, 0.1, 0.1],
            "fallback": [0.1, 0.1, 0.1, 0.1, None],
        }
    )
    candidate = store(tmp_path / "model", {"a": "new"})
    result, entities, _ = run(
        tmp_path, pa.concat_tables([table, extra]), candidate, fairness=["sex"], min_eval_rows=1
    )
    assert dict(result.counts) | {"rows_in": 100} == dict(result.counts)
    assert result.counts["rows_evaluated"] == 98
    assert result.counts["rows_missing_label"] == 1
    assert result.counts["rows_missing_entity"] == 1
    assert result.counts["rows_unknown_label"] == 1
    assert result.counts["rows_failed"] == 1
    assert entities["b"]["accuracy"] == 0, "an unknown label and a failure are errors"
    assert entities["b"]["rows_failed"] == 1
    assert [o for o in result.objections if "1 of 98 rows failed" in o and "entity 'b'" in o]
    assert any("label that no model knows" in note for note in result.notes)


def test_regression(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    label = random.normal(10, 3, 900)
    table = pa.table(
        {
            "education": np.repeat(["a", "b", "c"], 300),
            "income": label,
            "new": label + random.normal(0, 1, 900),
            "old": label + random.normal(0, 1.5, 900),
            "fallback": label + random.normal(0, 2, 900),
        }
    )
    candidate = store(
        tmp_path / "model", {"a": "new", "b": "fallback", "c": "new"}, spec=REGRESSION
    )
    pushed = store(tmp_path / "pushed", {"c": "old"}, spec=REGRESSION)
    result, entities, folder = run(
        tmp_path, table, candidate, pushed, thresholds={"rmse": {"max": 2.0}}
    )
    assert result.blessed, result.objections
    assert _column(entities, "verdict") == {"a": "blessed", "b": "fallback", "c": "blessed"}
    import tensorflow_model_analysis as tfma

    evaluation = tfma.load_eval_result(str(folder / "evaluation"))
    [(_, metrics)] = evaluation.slicing_metrics
    assert metrics[""][""]["mean_squared_error"]["doubleValue"] == pytest.approx(
        result.overall["composed"]["mse"], rel=1e-5
    )


def test_one_row_of_one_class(tmp_path: Path) -> None:
    table = census({"雪 \n'\"": 1}, WRONG)
    candidate = store(tmp_path / "model", {"雪 \n'\"": "new"})
    result, entities, _ = run(tmp_path, table, candidate)
    [row] = entities.values()
    assert row["verdict"] == "fallback"
    assert row["auc"] is None and "auc undefined: it needs rows of two classes" in row["undefined"]
    assert not result.blessed
    assert "not significantly better than the best constant's" in result.objections[0]


def test_empty_split_is_not_blessed_and_says_so(tmp_path: Path) -> None:
    table = census({"a": 1}, WRONG).slice(0, 0)
    candidate = store(tmp_path / "model", {"a": "new"})
    result, entities, folder = run(tmp_path, table, candidate, fairness=["sex"], slices=[["sex"]])
    [overall] = pq.read_table(folder / "evaluation" / "slices.parquet").to_pylist()
    assert (overall["rows"], overall["accuracy"]) == (0, None)
    assert result.objections == ["split 'eval' has no rows with a label and an entity key"]
    assert entities["a"]["verdict"] == "fallback"
    assert entities["a"]["undefined"] == "no evaluated rows"
    assert (folder / "composed" / "manifest.json").exists()


def test_ten_thousand_entities(tmp_path: Path) -> None:
    table = census({f"entity {i}": 1 for i in range(10_000)}, WRONG)
    names = {f"entity {i}": "new" for i in range(10_000)}
    result, entities, _ = run(tmp_path, table, store(tmp_path / "model", names))
    assert result.counts["entities_blessed"] == 10_000, "better together"
    assert result.counts["rows_evaluated"] == 10_000
    assert len(entities) == 10_000


def test_a_pushed_version_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = ModelSpec(("education",), "income", "classification", FEATURES, ("0", "1"))
    pushed = store(tmp_path / "pushed", {}, spec=other)
    candidate = store(tmp_path / "model", {"a": "new"})
    with pytest.raises(BeamfleetError, match=r"classes was \['0', '1'\], is \['<=50K', '>50K'\]"):
        run(tmp_path, census({"a": 3}, WRONG), candidate, pushed)


@pytest.mark.parametrize(("column", "config"), [("income", {}), ("sex", {"fairness": ["sex"]})])
def test_a_missing_column_is_named(tmp_path: Path, column: str, config: dict[str, Any]) -> None:
    table = census({"a": 3}, WRONG).drop_columns([column])
    candidate = store(tmp_path / "model", {"a": "new"})
    with pytest.raises(BeamfleetError, match=rf"split 'eval' lacks the columns \['{column}'\]"):
        run(tmp_path, table, candidate, **config)


def test_without_any_model_there_is_nothing_to_compose(tmp_path: Path) -> None:
    candidate = store(tmp_path / "model", {"a": None}, fallback=None)
    with pytest.raises(BeamfleetError, match="neither a fallback nor an entity's own model"):
        run(tmp_path, census({"a": 3}, WRONG), candidate)
