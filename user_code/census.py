"""One income model per education level, from census rows (UCI Adult)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from components.entity_trainer.examples import EntityExamples

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
    "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week",
    "native-country", "income",
)  # fmt: skip
"""The file has no header."""

HPARAMS: Mapping[str, Any] = {"max_depth": 6, "min_samples_leaf": 5}

THRESHOLDS: Mapping[str, Mapping[str, float]] = {"accuracy": {"min": 0.7}}
"""What the new version, and each model of an entity's own, must reach to be pushed."""


def clean_fn(table: "pa.Table") -> "pa.Table":
    """The test file of the data set writes `<=50K.` where the training file writes `<=50K`."""
    import pyarrow.compute as pc

    index = table.schema.get_field_index("income")
    income = pc.utf8_rtrim(pc.utf8_trim_whitespace(table["income"]), ".")
    return table.set_column(index, "income", income)


def train_fn(examples: "EntityExamples", hparams: Mapping[str, Any]) -> "Pipeline":
    """A decision tree on one-hot words and scaled numbers."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=object)),
        (MinMaxScaler(), make_column_selector(dtype_exclude=object)),
    )
    tree = DecisionTreeClassifier(random_state=0, **hparams)
    return make_pipeline(columns, tree).fit(examples.features, examples.label)
