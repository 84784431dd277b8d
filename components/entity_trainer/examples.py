"""What a user's `train_fn` gets."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class EntityExamples:
    """The training rows of one entity, or of all of them for the fallback model.

    Rows come in an order that depends on their content only (not on files, batches or workers).
    """

    entity: str
    """Entity key; "" for the fallback."""
    features: pd.DataFrame
    """(rows, features): words as object, integers as int64, numbers as float64; with
    missing="keep" None and NaN where a value is missing."""
    label: pd.Series
    """(rows,) words or integers (classification), float64 (regression); never missing."""
    classes: tuple[str, ...] | tuple[int, ...] = ()
    """All classes of the label over all entities, sorted; this entity may know fewer of them.
    () for regression."""
