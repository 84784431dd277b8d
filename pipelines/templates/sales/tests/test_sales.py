"""Tests of your own functions need no pipeline: `python -m pytest` in the project's folder."""

import pandas as pd
from user_code.sales import train_fn

from components.entity_trainer.examples import EntityExamples


def test_learns_that_promotion_sells() -> None:
    features = pd.DataFrame(
        {"weekday": ["mon", "tue"] * 20, "price": [2.0] * 40, "promotion": [0, 0, 1, 1] * 10}
    )
    label = pd.Series(50.0 + 30.0 * features["promotion"])

    model = train_fn(EntityExamples("north", features, label), {"alpha": 0.01})

    with_and_without = features.iloc[:2].assign(promotion=[1, 0])
    sold, usual = model.predict(with_and_without)
    assert sold - usual > 25


def test_learns_from_and_predicts_rows_with_empty_cells() -> None:
    features = pd.DataFrame({"weekday": ["mon", None] * 20, "price": [2.0, float("nan")] * 20})

    model = train_fn(EntityExamples("north", features, pd.Series([50.0] * 40)), {})

    unseen = pd.DataFrame({"weekday": [None, "sun"], "price": [float("nan"), 3.0]})
    assert list(model.predict(unseen).round()) == [50, 50]
