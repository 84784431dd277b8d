import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from tests.e2e.beamfleet import ROOT, beamfleet, run

pytestmark = pytest.mark.e2e
ENTITIES = ("HS-grad", "Some-college", "Masters")


def test_every_row_and_entity_is_accounted_for(census):
    _, summary = census
    rows = sum(1 for _ in (ROOT / "data" / "census" / "census.data").open())
    examples, training = summary["examples"], summary["training"]
    splits = examples["rows_train"] + examples["rows_eval"]
    assert examples["rows_in"] == rows == splits + examples["rows_rejected"]
    assert training["rows_in"] == examples["rows_train"]
    assert summary["evaluation"]["rows_evaluated"] == examples["rows_eval"]
    assert sum(entity["rows"] for entity in summary["entities"]) == examples["rows_eval"]
    statuses = ("entities_trained", "entities_small", "entities_failed")
    assert sum(training[status] for status in statuses) == training["entities"] == 16
    inference = summary["inference"]
    assert inference["rows_in"] == inference["rows"] + inference["rows_failed"] == 600


def test_it_is_validated_pushed_and_used(census):
    root, summary = census
    assert summary["evaluation"]["blessed"]
    assert summary["infra"]["blessed"]
    assert summary["push"] == {
        "label": "champion",
        "pushed": True,
        "version": 1,
        "directory": str(root / "pushed"),
        "reason": "pushed as version 1",
        "current": 1,
        "problem": "",
    }
    assert summary["inference"]["model_version"] == 1


def test_it_has_a_report_and_its_nodes_their_cost(census):
    root, summary = census
    [report] = root.glob(f"reports/{summary['run']}.html")
    assert summary["paths"]["report"] == report.as_uri()
    text = report.read_text()
    assert len(text) < 6_000_000 and "could not be drawn" not in text
    assert "The model was blessed and pushed as version 1." in text and "Prof-school" in text
    shown = json.loads(beamfleet("show", summary["run"], "--root", root, "--json"))
    nodes = {node["name"]: node for node in shown["nodes"]}
    assert all(node["cpu_seconds"] is not None for node in nodes.values())
    assert nodes["EntityEvaluator"]["cpu_seconds"] > nodes["SchemaGen"]["cpu_seconds"]
    assert nodes["EntityTrainer"]["peak_mb"] > nodes["EntityTrainer"]["start_mb"] > 100
    made = beamfleet("report", summary["run"], "--root", root, "--out", root / "own.html", "--json")
    assert json.loads(made)["bytes"] == (root / "own.html").stat().st_size


def test_three_entities_against_plain_pandas_and_scikit_learn(census):
    _, summary = census
    train = _rows(Path(summary["paths"]["examples"]) / "Split-train").dropna()
    held_out = _rows(Path(summary["paths"]["examples"]) / "Split-eval")
    values = {entity["entity"]: entity for entity in summary["entities"]}
    for name in ENTITIES:
        ours = values[name]
        rows = held_out[held_out["education"] == name]
        predicted = _tree(train[train["education"] == name])(rows)
        assert ours["rows"] == len(rows)
        assert ours["value"] == pytest.approx(np.mean(predicted == rows["income"]), abs=1e-9)


def test_the_pushed_models_predict_as_in_the_evaluation(census, tmp_path):
    root, summary = census
    held_out = _rows(Path(summary["paths"]["examples"]) / "Split-eval")
    rows = held_out[held_out["education"].isin(ENTITIES)]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    predicted = json.loads(beamfleet("predict", root, tmp_path / "rows.csv", "--json"))
    for name in ENTITIES:
        mine = [
            row["prediction"] == label
            for row, label in zip(predicted, rows["income"], strict=True)
            if row["entity"] == name
        ]
        [entity] = [e for e in summary["entities"] if e["entity"] == name]
        served = entity["value"] if entity["serves"] == "candidate" else entity["fallback_value"]
        assert np.mean(mine) == pytest.approx(served)


def test_a_second_run_with_nothing_changed_is_served_from_the_cache(census):
    root, first = census
    second = run("census", "--root", root)
    assert len(second["cached"]) == 10
    same = ("examples", "training", "evaluation", "entities", "infra", "push", "inference")
    assert {key: second[key] for key in same} == {key: first[key] for key in same}
    states = [one["state"] for one in json.loads(beamfleet("runs", "--root", root, "--json"))]
    assert states == ["done", "done"]
    assert [p.name for p in sorted((root / "pushed").iterdir()) if p.name.isdigit()] == ["1"]


def test_the_local_orchestrator_does_the_same(census, tmp_path):
    _, beam = census
    local = run("census", "--root", tmp_path, "--orchestrator", "local")
    same = ("examples", "training", "evaluation", "entities", "inference")
    assert {key: local[key] for key in same} == {key: beam[key] for key in same}
    shown = beamfleet("show", "latest", "--root", tmp_path)
    assert "EntityEvaluator" in shown
    assert "version 1 to" in shown


def _rows(folder: Path) -> pd.DataFrame:
    """Reads list columns of one value a row without any of our code."""
    table = pd.concat([pq.read_table(file).to_pandas() for file in sorted(folder.iterdir())])
    return table.map(lambda value: value[0] if value is not None and len(value) else None)


def _tree(rows: pd.DataFrame):
    """What user_code.census says in words: one-hot words, scaled numbers, a small tree."""
    words = ["workclass", "marital-status", "occupation", "relationship", "race", "sex",
             "native-country"]  # fmt: skip
    numbers = ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
    columns = [c for c in rows if c in words or c in numbers]
    encoder = ColumnTransformer(
        [
            ("words", OneHotEncoder(handle_unknown="ignore"), [c for c in columns if c in words]),
            ("numbers", MinMaxScaler(), [c for c in columns if c in numbers]),
        ]
    )
    tree = DecisionTreeClassifier(random_state=0, max_depth=6, min_samples_leaf=5)
    tree.fit(encoder.fit_transform(rows[columns]), rows["income"])
    return lambda other: tree.predict(encoder.transform(other[columns]))
