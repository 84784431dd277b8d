"""Splits of the store, under the names that nodes behind know."""

from components.errors import BeamfleetError
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_store.splits import ByTime

NAMES = {"train": "train", "validation": "validation", "eval": "test"}
"""Of Examples -> of the store: what judges a model is `eval` to TFX."""


def by_time(config: FeatureExamplesConfig) -> ByTime:
    """How the store splits.

    Raises:
      BeamfleetError: the splits cannot be made.
    """
    splits = config.splits
    if "eval" not in splits or set(splits) - {"validation", "eval"}:
        raise BeamfleetError(
            f"splits is {dict(splits)}, expected when eval begins, and validation if there is one: "
            '{"eval": "2024-05-15"}, or their shares of the rows: {"eval": 0.3}; what is earlier '
            "trains"
        )
    nothing = 0.0 if isinstance(splits["eval"], int | float) else splits["eval"]
    return ByTime(splits.get("validation", nothing), splits["eval"], gap=config.gap)
