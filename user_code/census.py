"""One income model per education level, from census rows (UCI Adult)."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from components.entity_trainer.examples import EntityExamples

COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
)
"""The file has no header."""

HPARAMS: Mapping[str, Any] = {"max_depth": 6, "min_samples_leaf": 5}

THRESHOLDS: Mapping[str, float] = {"accuracy": 0.7}
"""An entity's own model that is worse than this is not pushed."""


def clean_fn(table: pa.Table) -> pa.Table:
    """The test file of the data set writes `<=50K.` where the training file writes `<=50K`."""
    index = table.schema.get_field_index("income")
    if index < 0:  # rows to predict have no income
        return table
    income = pc.utf8_rtrim(pc.utf8_trim_whitespace(table["income"]), ".")
    return table.set_column(index, "income", income)


def train_fn(examples: EntityExamples, hparams: Mapping[str, Any]) -> Pipeline:
    """A decision tree on one-hot words and scaled numbers."""
    tree = DecisionTreeClassifier(random_state=0, **hparams)
    return Pipeline([("encode", _encoder(examples.features)), ("tree", tree)]).fit(
        examples.features, examples.label
    )


def _encoder(features: pd.DataFrame) -> ColumnTransformer:
    words = [name for name in features if features[name].dtype == object]
    numbers = [name for name in features if features[name].dtype != object]
    return ColumnTransformer(
        [
            ("words", OneHotEncoder(handle_unknown="ignore"), words),
            ("numbers", MinMaxScaler(), numbers),
        ]
    )
