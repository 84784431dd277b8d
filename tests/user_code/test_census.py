"""The census functions, and three entities against plain pandas and scikit-learn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from components.entity_models.predict import predict
from components.entity_trainer.config import TrainConfig
from components.entity_trainer.pool import cool_down
from tests.components.entity_trainer.training import schema_of, train
from user_code.census import COLUMNS, HPARAMS, clean_fn

WORDS = ["workclass", "marital-status", "occupation", "relationship", "race", "sex",
         "native-country"]  # fmt: skip


ROWS = Path(__file__).parents[2] / "data" / "census" / "census.data"


def _census(path: Path = ROWS) -> pd.DataFrame:
    return pd.read_csv(path, names=list(COLUMNS), skipinitialspace=True, na_values="?")


def test_clean_fn_strips_dots_and_blanks():
    table = pa.table({"age": [1, 2, 3], "income": [" <=50K.", ">50K ", None]})
    assert clean_fn(table)["income"].to_pylist() == ["<=50K", ">50K", None]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    frame = _census()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    config = TrainConfig("user_code.census.train_fn", ("education",), "income", hparams=HPARAMS)
    yield frame, train(tmp_path_factory.mktemp("m"), table, config, schema_of(types))
    cool_down()


@pytest.mark.parametrize("education", ["Bachelors", "HS-grad", "Masters"])
def test_an_entity_equals_plain_pandas_and_scikit_learn(trained, education):
    frame, models = trained
    rows = frame.dropna()
    rows = rows[rows["education"] == education]
    features = rows.drop(columns=["education", "income"])
    numbers = [name for name in features if name not in WORDS]
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), WORDS), (MinMaxScaler(), numbers)
        ),
        DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=0),
    ).fit(features, rows["income"])
    chosen = pa.Table.from_pandas(rows, preserve_index=False)
    found = predict(models, chosen)
    assert models.entry(education).rows == len(rows)
    # Splits of equal gain are chosen by chance, so a few leaves may differ; the fit does not.
    assert np.mean(found["prediction"].to_numpy() == model.predict(features)) > 0.99
    accuracy = np.mean(found["prediction"].to_numpy() == rows["income"])
    assert accuracy == pytest.approx(model.score(features, rows["income"]), abs=0.003)
    ours = models.model(education)[0]
    assert ours[-1].get_depth() == model[-1].get_depth()
    assert ours[0].transform(features).shape == model[0].transform(features).shape


def test_rows_with_a_missing_word_are_counted(trained):
    frame, models = trained
    assert models.counts["rows_in"] == len(frame)
    assert models.counts["rows_dropped"] == frame.isna().any(axis=1).sum()
    by_entity = frame.dropna().groupby("education").size()
    assert models.counts["rows_small"] == by_entity[by_entity < 50].sum()
