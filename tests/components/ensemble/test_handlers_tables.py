"""Handlers of scikit-learn, XGBoost and entity models are stages without glue."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from apache_beam.ml.inference.sklearn_inference import (
    ModelFileType,
    SklearnModelHandlerNumpy,
    SklearnModelHandlerPandas,
)
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.live import LiveHandler
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.ensemble.xgboost_handler import XGBoostHandler
from components.entity_models.predict import predict
from components.entity_models.row_handler import EntityRowHandler
from components.entity_models.store import EntityModels
from components.pusher.versions import PushedVersions
from tests.components.ensemble.contract import check_stage, numbers, run
from tests.components.entity_models.stores import REGRESSION, SPEC, rows, train, write

COLUMNS = {name: name for name in ("place", "word", "count", "size")}


def saved(model, path: Path) -> str:
    path.write_bytes(pickle.dumps(model))
    return str(path)


@pytest.fixture
def ridge():
    data = np.stack(numbers(50))
    return Ridge().fit(data, data @ np.arange(8).reshape(4, 2))


@pytest.mark.parametrize("options", [{}, {"large_model": True}, {"max_batch_size": 1}])
def test_sklearn_on_arrays(tmp_path, ridge, options):
    handler = SklearnModelHandlerNumpy(saved(ridge, tmp_path / "m.pkl"), **options)
    bad = [np.zeros(3, np.float32), None, np.full(4, np.nan, np.float32)]
    dead = check_stage(
        Stage("y", handler, inputs="x"), numbers(40), lambda x: ridge.predict([x])[0], bad
    )
    assert all(r.failure.stage == "y" and r.failure.reason for r in dead)


def test_sklearn_names_its_version_and_takes_the_function_of_the_user(tmp_path, ridge):
    path = saved(ridge, tmp_path / "m.pkl")
    handler = SklearnModelHandlerNumpy(path, ModelFileType.PICKLE, inference_fn=sum_of_outputs)
    stage = Stage("y", handler, inputs="x", inference_args={"factor": 3})
    check_stage(stage, numbers(20), lambda x: 3 * ridge.predict([x])[0].sum())
    [result] = run(RunEnsemble(Ensemble(stage)), [Record("k", {"x": numbers(1)[0]})])
    assert result.versions == {"y": path}


def sum_of_outputs(model, batch, inference_args):
    return [y.sum() * inference_args["factor"] for y in model.predict(np.stack(batch))]


def test_sklearn_on_frames(tmp_path):
    table = rows(80).to_pandas()
    features = ["word", "count", "size"]
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["word"]), remainder="passthrough"),
        LogisticRegression(),
    ).fit(table[features], table["label"])
    frames = [table[features].iloc[[n]] for n in range(80)]
    stage = Stage("label", SklearnModelHandlerPandas(saved(model, tmp_path / "m.pkl")), inputs="x")
    bad = [pd.concat(frames[:2]), frames[0].drop(columns="word"), "no frame"]
    check_stage(stage, frames, lambda frame: model.predict(frame)[0], bad)


@pytest.mark.parametrize("kind", ["json", "ubj"])
def test_xgboost_on_arrays(tmp_path, kind):
    path = str(tmp_path / f"m.{kind}")
    data = np.stack(numbers(60))
    model = xgboost.XGBRegressor(n_estimators=5, max_depth=3).fit(data, data[:, 0] * 2)
    model.save_model(path)
    stage = Stage("y", XGBoostHandler(path, max_batch_size=16), inputs="x")
    bad = [np.zeros(3, np.float32), None, "four"]
    check_stage(stage, numbers(30, seed=1), lambda x: model.predict(x[None])[0], bad)


def test_xgboost_gives_the_probabilities_of_classes(tmp_path):
    path = str(tmp_path / "m.json")
    data = np.stack(numbers(60))
    model = xgboost.XGBClassifier(n_estimators=5).fit(data, np.digitize(data[:, 0], [-0.5, 0.5]))
    model.save_model(path)
    stage = Stage("y", XGBoostHandler(path), inputs="x")
    check_stage(stage, numbers(30, seed=1), lambda x: model.predict_proba(x[None])[0])


def entity_rows(count: int) -> list[dict]:
    return rows(count).select(list(COLUMNS)).to_pylist()


def test_entity_models_on_rows(tmp_path):
    models = {"plain": train(rows(60)), "Ärger": train(rows(60, seed=1))}
    uri = write(str(tmp_path), models.items(), fallback=train(rows(90, seed=2)))
    bad = [
        {"place": None, "word": "a", "count": 1, "size": 0.5},
        {"place": "plain", "word": "a", "count": "many", "size": 0.5},
        {"place": "plain", "word": "a", "count": 1},
    ]
    store = EntityModels(uri)

    def alone(row: dict) -> dict:
        [found] = predict(store, pa.Table.from_pylist([row])).to_pylist()
        shares = dict(zip(SPEC.classes, found["probabilities"], strict=True))
        kept = {k: found[k] for k in ("entity", "prediction", "fallback")}
        return {**kept, "probabilities": shares}

    stage = Stage("label", EntityRowHandler(uri), inputs=COLUMNS)
    dead = check_stage(stage, entity_rows(100), alone, bad)
    assert {r.key: r.failure.reason.split(":")[0] for r in dead} == {
        "bad 0": "entity key missing",
        "bad 1": "column 'count' has a value that does not fit",
        "bad 2": "the record has no size",
    }
    whole = Stage("label", EntityRowHandler(uri), inputs="x")  # a row may be one column as well
    dead = check_stage(whole, entity_rows(30), alone, [{"place": "plain", "word": "a", "count": 1}])
    assert dead[0].failure.reason == "the row has no 'size'; give None for a missing value"


def test_entity_models_of_numbers(tmp_path):
    model = train(rows(60), REGRESSION)
    uri = write(str(tmp_path), [("plain", model)], spec=REGRESSION)
    found = run(
        RunEnsemble(Ensemble(Stage("y", EntityRowHandler(uri), inputs="row"))),
        [Record(str(n), {"row": row}) for n, row in enumerate(entity_rows(60))],
    )
    assert len(found) == 60
    for record in found:
        row = record.values["row"]
        if row["place"] == "plain":
            expected = model.predict(pd.DataFrame([row])[["word", "count", "size"]])[0]
            assert record.values["y"]["prediction"] == pytest.approx(expected)
            assert record.values["y"]["probabilities"] is None
        else:
            assert "no model and the store no fallback" in record.failure.reason


def test_entity_models_that_were_pushed_are_live(tmp_path):
    directory = str(tmp_path / "pushed")
    pushed = PushedVersions(directory)
    for number in (1, 2):
        uri = write(str(tmp_path / f"store {number}"), [("plain", train(rows(50, seed=number)))])
        pushed.push(uri, uri, number - 1, keep=2)
    handler = LiveHandler(directory, EntityRowHandler, 3600)
    model = handler.load_model()
    row = next(row for row in entity_rows(60) if row["place"] == "plain")
    [result] = handler.run_inference([row], model)
    assert result.model_id == f"{directory}/2" and not result.inference["fallback"]
    pushed.rollback()
    assert model.refresh()
    assert handler.run_inference([row], model)[0].model_id == f"{directory}/1"
