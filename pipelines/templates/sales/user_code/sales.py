"""What is special about your data; everything else is beamfleet's.

No `__init__.py` in this folder: your `user_code` stands beside the one that beamfleet brings.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from components.entity_trainer.examples import EntityExamples


def train_fn(examples: "EntityExamples", hparams: Mapping[str, Any]) -> "Pipeline":
    """Trains the model of one store, or of all stores where `examples.entity` is empty.

    Args:
      examples: `features`, a typed DataFrame without the entity and label columns, and `label`.
        An empty cell is None in a column of words and NaN in one of numbers.
      hparams: What `train_per_entity(hparams=...)` was given.
    """
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

    words = OneHotEncoder(handle_unknown="ignore")  # an empty cell is a word of its own
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), MinMaxScaler())
    columns = make_column_transformer(
        (words, make_column_selector(dtype_include=object)),
        (numbers, make_column_selector(dtype_exclude=object)),
    )
    model = make_pipeline(columns, Ridge(alpha=float(hparams.get("alpha", 1.0))))
    return model.fit(examples.features, examples.label)
