"""A feature service, and models that were trained with it."""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

from components.entity_models.spec import ModelSpec
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_vectors.trained_with import TrainedWith, of_service
from components.features import (
    Entity,
    FeatureService,
    Last,
    Lifetime,
    Parquet,
    Source,
    Transformation,
    UnifiedTransformer,
    on_demand,
    stream_feature_view,
)
from components.online_store import open_online_store
from tests.components.model_server.stores import write_store

CARD = Entity("card", keys={"card_id": int})
TXNS = Source("txns", Parquet("txns"), "ts")
LABELS = Source("labels", Parquet("labels"), "ts", id="txn_id")
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


@stream_feature_view(
    entities=[CARD], source=TXNS, schema={"last_amount": float, "last_at": datetime}, online=True
)
def last_txn(events: Any) -> Any:
    transformer = UnifiedTransformer(lambda e: e, Lifetime(), (Last("amount"), Last("event_time")))
    return events | transformer


@on_demand(inputs=[last_txn["last_at"]], schema={"since": float})
def since(inputs: pl.DataFrame) -> pl.DataFrame:
    passed = pl.col("request_time") - pl.col("last_at")
    return inputs.select(since=passed.dt.total_seconds(fractional=True))


@dataclass(frozen=True)
class Centred(Transformation[float]):
    def fit(self, values: pl.Series) -> float:
        return float(values.mean() or 0)  # type: ignore[arg-type]

    def apply(self, values: pl.Series, fitted: float) -> pl.Series:
        return values - fitted


fraud = FeatureService(
    "fraud",
    [last_txn["last_amount"], since],
    labels=LABELS,
    label="is_fraud",
    request={"amount": float, "category": str, "abroad": bool},
    transformations={"last_amount": Centred()},
    boundary="inclusive",
)

by_card = FeatureService(
    "by_card",
    [last_txn["last_amount"]],
    labels=LABELS,
    label="is_fraud",
    request={"card_id": int, "amount": float},
    boundary="inclusive",
)

SPEC = ModelSpec(
    entity_columns=("category",),
    label="is_fraud",
    task="classification",
    features=(
        ("amount", "double"), ("abroad", "int64"), ("last_amount", "double"), ("since", "double")
    ),
    classes=(0, 1),
)  # fmt: skip


def trained(root: Path, **changes: Any) -> TrainedWith:
    path = "tests.components.model_server.featured.fraud"
    config = FeatureExamplesConfig(path, {"train": "2024-01-01"}, "2024-05-01")
    made = of_service(fraud, config, str(root), {"last_amount": 10.0})
    return dataclasses.replace(made, **changes)


def model_store(uri: Path, root: Path, **changes: Any) -> str:
    """Models of two categories: of fuel, fraud is what cost more than usual; of books, nothing."""
    spec = dataclasses.replace(SPEC, service=trained(root, **changes).to_text())
    return write_store(uri, {"fuel": tree(True), "books": tree(False)}, tree(False), spec)


def store_by_card(uri: Path, root: Path) -> str:
    """A model for each of two cards, whose number is an input too."""
    path = "tests.components.model_server.featured.by_card"
    config = FeatureExamplesConfig(path, {"train": "2024-01-01"}, "2024-05-01")
    spec = dataclasses.replace(
        SPEC,
        entity_columns=("card_id",),
        features=(("amount", "double"), ("last_amount", "double")),
        service=of_service(by_card, config, str(root), {}).to_text(),
    )
    rows = pd.DataFrame([[10.0, n - 50.0] for n in range(100)], columns=["amount", "last_amount"])
    models = {
        card: HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(rows, label)
        for card, label in (("1", rows["last_amount"] > 0), ("2", rows["last_amount"] <= 0))
    }
    return write_store(uri, models, models["1"], spec)


def tree(learns: bool) -> Any:
    names = [name for name, _ in SPEC.features]
    rows = pd.DataFrame(
        [[10.0, 0, amount, 60.0] for amount in range(-50, 50)] * 4, columns=names, dtype=float
    )
    rows["abroad"] = rows["abroad"].astype("int64")
    label = (rows["last_amount"] > 0).astype(int) if learns else [0] * 399 + [1]
    return HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(rows, label)


def online_store(root: Path) -> None:
    """Card 1 spent 30 a minute ago, card 2 spent 5."""
    store = open_online_store(f"sqlite:///{root}/online.db")
    before = NOW - timedelta(minutes=1)
    rows = pl.DataFrame(
        {"card_id": [1, 2], "valid_from": [before] * 2, "created": [before] * 2,
         "last_amount": [30.0, 5.0], "last_at": [before] * 2}
    )  # fmt: skip
    store.write(last_txn, rows)
    store.close()
