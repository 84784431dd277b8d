"""Each row is predicted once, by the model of its entity, or says why not."""

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that

from components.entity_models.frame import to_frame
from components.entity_models.handler import EntityModelHandler, PredictTable, _balance
from components.entity_models.key import entity_keys
from components.entity_models.predict import predict
from components.entity_models.spec import ModelSpec
from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from tests.components.entity_models.stores import PLACES, REGRESSION, SPEC, rows, train, write


class FakeStore:
    """Models that were never saved."""

    def __init__(self, spec, models, fallback=None):
        self.spec = spec
        self._models = models
        self._fallback = fallback

    def own(self, entity):
        return self._models.get(entity)

    def fallback(self):
        return self._fallback


class Picky:
    """Fails on rows whose count is in `bad`; counts its calls."""

    classes_ = np.array(["no", "yes"])

    def __init__(self, bad=()):
        self.bad = bad
        self.calls = 0

    def predict(self, frame):
        self.calls += 1
        if frame["count"].isin(self.bad).any():
            raise ValueError("a bad count")
        return np.where(frame["size"] > 0, "yes", "no")


def test_predictions_equal_those_of_each_model_alone(tmp_path):
    table = rows(500)
    models = {place: train(rows(100, seed)) for seed, place in enumerate(PLACES[:4])}
    fallback = train(rows(300, 99))
    store = EntityModels(write(str(tmp_path), models.items(), fallback=fallback))
    result = predict(store, table)
    assert result.column_names == ["entity", "prediction", "probabilities", "fallback", "error"]
    assert result["entity"].to_pylist() == table["place"].to_pylist()
    assert result["error"].null_count == 500
    frame = to_frame(table, SPEC)
    for i, row in enumerate(result.to_pylist()):
        model = models.get(row["entity"], fallback)
        assert row["fallback"] == (row["entity"] not in models)
        alone = frame.iloc[i : i + 1]
        assert row["prediction"] == model.predict(alone)[0]
        np.testing.assert_array_equal(row["probabilities"], model.predict_proba(alone)[0])


def test_only_the_fallback(tmp_path):
    table, fallback = rows(100), train(rows(300, 9))
    store = EntityModels(write(str(tmp_path), [("plain", train(rows(50)))], fallback=fallback))
    result = predict(store, table, only="fallback")
    assert all(result["fallback"].to_pylist())
    assert result["prediction"].to_pylist() == list(fallback.predict(to_frame(table, SPEC)))
    with pytest.raises(ValueError, match="only must be"):
        predict(store, table, only="own")


def test_regression(tmp_path):
    table = rows(200)
    model = train(table, REGRESSION)
    store = EntityModels(write(str(tmp_path), [], REGRESSION, fallback=model))
    result = predict(store, table)
    np.testing.assert_array_equal(result["prediction"], model.predict(to_frame(table, SPEC)))
    assert result.schema.field("prediction").type == pa.float64()
    assert result["probabilities"].null_count == 200


def test_bad_rows_are_found_and_the_others_kept():
    table = rows(400, places=["a", "b"])
    model = Picky(bad=[3])
    result = predict(FakeStore(SPEC, {"a": model, "b": Picky()}), table)
    bad = [i for i, row in enumerate(table.to_pylist()) if (row["place"], row["count"]) == ("a", 3)]
    assert bad
    assert [i for i, e in enumerate(result["error"].to_pylist()) if e] == bad
    assert set(result["error"].take(bad).to_pylist()) == {"ValueError: a bad count"}
    assert result["prediction"].null_count == len(bad)
    assert result.num_rows == 400


def test_one_call_an_entity():
    models = {place: Picky() for place in "abc"}
    fallback = Picky()
    predict(FakeStore(SPEC, models, fallback), rows(300, places=["a", "b", "c", "new", "newer"]))
    assert [model.calls for model in (*models.values(), fallback)] == [1, 1, 1, 1]


def test_a_missing_key_is_an_error_of_the_row():
    table = rows(4).set_column(0, "place", pa.array(["a", None, "a", ""]))
    result = predict(FakeStore(SPEC, {"a": Picky()}), table).to_pylist()
    assert [row["error"] for row in result] == [None, "entity key missing"] * 2
    assert result[1]["entity"] is None and result[1]["prediction"] is None


def test_no_model_at_all_is_an_error_of_the_row():
    result = predict(FakeStore(SPEC, {}), rows(3, places=["x"]))
    assert result["error"].to_pylist() == ["the entity has no model and the store no fallback"] * 3
    assert not any(result["fallback"].to_pylist())


def test_a_missing_column_is_named():
    with pytest.raises(BeamfleetError, match=r"\['size'\] are missing"):
        predict(FakeStore(SPEC, {}), rows(3).drop(["size"]))
    with pytest.raises(BeamfleetError, match="place"):
        predict(FakeStore(SPEC, {}), rows(3).drop(["place"]))


def test_empty_and_all_null_tables():
    assert predict(FakeStore(SPEC, {}), rows(10).slice(0, 0)).num_rows == 0
    blank = pa.table({name: pa.nulls(4) for name in ("place", "word", "count", "size")})
    assert predict(FakeStore(SPEC, {}), blank)["error"].to_pylist() == ["entity key missing"] * 4


class Fixed:
    """Gives the same scores for each row."""

    def __init__(self, classes, scores):
        self.classes_ = np.array(classes)
        self.scores = scores

    def predict(self, frame):
        return self.classes_[np.zeros(len(frame), dtype=int)]

    def predict_proba(self, frame):
        return np.tile(self.scores, (len(frame), 1))


@pytest.mark.parametrize(
    ("model", "probabilities", "error"),
    [
        (Fixed(["yes", "no"], [0.7, 0.3]), [0.3, 0.7], None),
        (Fixed(["yes"], [1.0]), [0.0, 1.0], None),
        (Fixed(["no", "yes"], [np.nan, 0.5]), None, "not finite"),
        (Fixed(["no", "maybe"], [0.5, 0.5]), None, "maybe"),
        (Fixed(["no", "yes"], [0.5, 0.2, 0.3]), None, "shape"),
    ],
)
def test_probabilities_align_with_the_classes_of_the_store(model, probabilities, error):
    for row in predict(FakeStore(SPEC, {}, model), rows(3)).to_pylist():
        assert row["probabilities"] == probabilities
        assert (error in row["error"]) if error else row["error"] is None
        assert (row["prediction"] is None) == bool(error)


class Values:
    def __init__(self, values):
        self.values = values

    def predict(self, frame):
        return self.values


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.full(4, np.inf), "not finite"), (np.zeros(3), "3 predictions for"), ("x", "could not")],
)
def test_wrong_values_of_a_regression_are_errors(values, message):
    result = predict(FakeStore(REGRESSION, {}, Values(values)), rows(4))
    assert all(
        message in error or "predictions for" in error for error in result["error"].to_pylist()
    )
    assert result["prediction"].null_count == 4


def test_integer_classes():
    spec = ModelSpec(("place",), "label", "classification", SPEC.features, (0, 1, 7))
    result = predict(FakeStore(spec, {}, Fixed([7, 0], [0.9, 0.1])), rows(2))
    assert result["prediction"].to_pylist() == [7, 7]
    assert result["probabilities"].to_pylist() == [[0.1, 0.0, 0.9]] * 2


def test_keys_of_one_and_of_several_columns():
    table = pa.table({"a": ["x", 'q"\\', None, "ü"], "n": [1, 2, 3, None]})
    assert entity_keys(table, ["a"]).to_pylist() == ["x", 'q"\\', None, "ü"]
    assert entity_keys(table, ["n"]).to_pylist() == ["1", "2", "3", None]
    assert entity_keys(table, ["a", "n"]).to_pylist() == [
        '["x", "1"]',
        '["q\\"\\\\", "2"]',
        None,
        None,
    ]
    assert entity_keys(table.slice(0, 0), ["a", "n"]).to_pylist() == []
    chunked = pa.concat_tables([table, table])
    assert len(entity_keys(chunked, ["a"])) == 8
    encoded = table.set_column(0, "a", table["a"].dictionary_encode())
    assert entity_keys(encoded, ["a"]).equals(entity_keys(table, ["a"]))
    assert entity_keys(pa.table({"x": [1.5, float("nan")]}), ["x"]).to_pylist() == ["1.5", None]


def test_frame_has_the_types_of_the_spec():
    table = pa.table({"size": [1, 2], "word": [None, "b"], "count": [None, 5], "more": [0, 0]})
    frame = to_frame(table, SPEC)
    assert list(frame.columns) == ["word", "count", "size"]
    assert frame.dtypes.astype(str).tolist() == ["object", "float64", "float64"]
    assert frame["word"].tolist() == [None, "b"]
    encoded = table.set_column(1, "word", table["word"].combine_chunks().dictionary_encode())
    pd.testing.assert_frame_equal(to_frame(encoded, SPEC), frame)
    assert to_frame(rows(5), SPEC)["count"].dtype == np.int64
    with pytest.raises(BeamfleetError, match="'count' is string"):
        to_frame(table.set_column(2, "count", pa.array(["1", "2"])), SPEC)
    with pytest.raises(BeamfleetError, match="'count' does not fit int64"):
        to_frame(table.set_column(2, "count", pa.array([1.5, 2.0])), SPEC)


@pytest.fixture
def store_uri(tmp_path):
    models = [(place, train(rows(60, seed))) for seed, place in enumerate(PLACES[:4])]
    return write(str(tmp_path), models, fallback=train(rows(200)))


def test_predict_table_gives_each_row_once(store_uri):
    tables = [rows(50, seed) for seed in range(6)]
    tables = [
        t.append_column("id", pa.array(range(i * 50, i * 50 + 50))) for i, t in enumerate(tables)
    ]
    inputs = [*tables[:3], *[batch for table in tables[3:] for batch in table.to_batches()]]
    together = pa.concat_tables(tables)
    expected = predict(EntityModels(store_uri), together).to_pylist()

    def check(pairs):
        seen = {}
        for table, result in pairs:
            assert table.num_rows == result.num_rows <= 50
            seen.update(zip(table["id"].to_pylist(), result.to_pylist(), strict=True))
        assert [seen[i] for i in range(300)] == expected

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        pairs = pipeline | beam.Create(inputs) | PredictTable(store_uri, ("place",), 5, max_rows=50)
        assert_that(pairs, check)


def test_lost_rows_stop_the_pipeline():
    with pytest.raises(BeamfleetError, match="3 rows lost"):
        _balance(3)
    with pytest.raises(BeamfleetError, match="2 rows too many"):
        _balance(-2)
    _balance(0)


def test_the_handler_opens_the_store(store_uri):
    handler = EntityModelHandler(store_uri, only="fallback")
    table = rows(20)
    [result] = handler.run_inference([table], handler.load_model())
    assert result.example is table and all(result.inference["fallback"].to_pylist())
    assert handler.get_num_bytes([table]) == table.nbytes


def test_ten_thousand_entities():
    """Groups are slices: nothing in the work between the models may grow with rows x entities."""
    model, names = Picky(), np.array([f"e{i}" for i in range(10_000)], dtype=object)
    table = rows(40_000, places=names)
    store = FakeStore(SPEC, dict.fromkeys(names, model))
    result = predict(store, table)
    assert result["error"].null_count == 40_000
    assert model.calls == len(set(table["place"].to_pylist()))


def test_a_tree_that_saw_one_class_only():
    table = rows(50)
    table = table.set_column(4, "label", pa.array(["yes"] * 50))
    for row in predict(FakeStore(SPEC, {}, train(table)), table).to_pylist():
        assert (row["prediction"], row["probabilities"]) == ("yes", [0.0, 1.0])


def test_an_empty_part_of_a_key_is_a_missing_one():
    table = pa.table({"a": ["x", "", "y", None], "b": ["1", "2", "", "4"]})
    keys = entity_keys(table, ("a", "b"))
    assert keys.to_pylist() == ['["x", "1"]', None, None, None]
    assert entity_keys(table.slice(1, 2), ("b",)).to_pylist() == ["2", None]
