"""Features of cards and users, and a fraud model for every merchant category."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from components.features import (
    Count,
    Entity,
    FeatureService,
    Fresh,
    InRange,
    JsonLines,
    Last,
    Lifetime,
    Max,
    Mean,
    Parquet,
    Rolling,
    Session,
    Source,
    StandardScaler,
    Sum,
    Tumbling,
    UnifiedTransformer,
    on_demand,
    stream_feature_view,
)
from components.features.transformer import Events, Transformed

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

    from components.entity_trainer.examples import EntityExamples

DATA = Path(__file__).resolve().parents[1] / "data" / "payments"
HPARAMS: Mapping[str, Any] = {"n_estimators": 30, "max_depth": 8, "min_samples_leaf": 5}
THRESHOLDS: Mapping[str, Mapping[str, float]] = {"auc": {"min": 0.75}}
"""What the new version, and each model of a category's own, must reach to be pushed."""

card = Entity("card", keys=["card_id"])
user = Entity("user", keys=["user_id"])
txns = Source(
    "txns", Parquet(DATA / "txns"), "ts", JsonLines(DATA / "stream" / "txns.jsonl"),
    created="ingested_at", id="txn_id", owner="risk", description="Card transactions.",
)  # fmt: skip
payments = Source(
    "payments", Parquet(DATA / "payments"), "ts", JsonLines(DATA / "stream" / "payments.jsonl"),
    created="ingested_at", id="payment_id", owner="payments", description="Settled or failed.",
)  # fmt: skip
checkouts = Source(
    "checkouts", Parquet(DATA / "checkouts"), "ts", JsonLines(DATA / "stream" / "checkouts.jsonl"),
    created="ingested_at", id="checkout_id", owner="shop", description="A user goes to the till.",
)  # fmt: skip
labels = Source(
    "labels", Parquet(DATA / "labels"), "ts", created="labelled_at", id="txn_id", owner="risk",
    description="Whether a transaction was a fraud, known days later.",
)  # fmt: skip


def as_they_are(events: pl.DataFrame) -> pl.DataFrame:
    """Every event counts."""
    return events


def failures(events: pl.DataFrame) -> pl.DataFrame:
    """Failed payments; `nsf_at` where the account had not the money."""
    nsf_at = pl.when(pl.col("status") == "ach_nsf").then(pl.col("ts"))
    return events.filter(pl.col("status") != "settled").with_columns(nsf_at=nsf_at)


@stream_feature_view(
    entities=[card], source=txns, schema={"mean_4h": float, "count_4h": int}, ttl="1d", online=True,
    expect=[InRange("mean_4h", min=0, max=50_000), Fresh("1d")],
)  # fmt: skip
def card_spend(events: Events) -> Transformed:
    """What a card was used for in the last four hours."""
    window = Rolling("4h", lateness="30m")
    return events | UnifiedTransformer(as_they_are, window, (Mean("amount"), Count()))


@stream_feature_view(
    entities=[user], source=payments, online=True,
    schema={"latest_payment_fail": datetime, "latest_payment_fail_ach_nsf": datetime},
)  # fmt: skip
def payment_failures(events: Events) -> Transformed:
    """When a payment of the user failed last, and when for want of money."""
    latest = (Last("event_time"), Last("nsf_at"))
    return events | UnifiedTransformer(failures, Lifetime(lateness="30m"), latest)


@stream_feature_view(
    entities=[user], source=txns, schema={"spent_day_before": float, "txns_day_before": int},
    ttl="2d", online=True, expect=[InRange("spent_day_before", min=0)],
)  # fmt: skip
def user_day(events: Events) -> Transformed:
    """What the user spent on the last whole day."""
    window = Tumbling("1d", lateness="30m")
    return events | UnifiedTransformer(as_they_are, window, (Sum("amount"), Count()))


@stream_feature_view(
    entities=[card], source=txns, schema={"txns_sitting": int, "most_sitting": float}, online=True
)
def card_sitting(events: Events) -> Transformed:
    """Transactions of the card that follow each other within half an hour."""
    window = Session("30m", lateness="30m")
    return events | UnifiedTransformer(as_they_are, window, (Count(), Max("amount")))


@stream_feature_view(
    entities=[user], source=(txns, payments), schema={"bought_12h": int, "failed_12h": int},
    ttl="1d", online=True,
)  # fmt: skip
def user_attempts(bought: Events, paid: Events) -> Transformed:
    """How often the user bought and how often a payment failed: two sources, one sweep."""
    counts = (Count("amount"), Count("status"))
    window = Rolling("12h", lateness="30m")
    return (bought, paid) | UnifiedTransformer((as_they_are, failures), window, counts)


@stream_feature_view(
    entities=[user], source=checkouts, schema={"latest_checkout": datetime}, online=True
)
def user_checkout(events: Events) -> Transformed:
    """When the user went to the till last."""
    return events | UnifiedTransformer(as_they_are, Lifetime(lateness="30m"), Last("event_time"))


@on_demand(inputs=[user_checkout], schema={"time_since_user_checkout": float})
def since_checkout(inputs: pl.DataFrame) -> pl.DataFrame:
    """Seconds since the user went to the till."""
    passed = pl.col("request_time") - pl.col("latest_checkout")
    return inputs.select(time_since_user_checkout=passed.dt.total_seconds(fractional=True))


@on_demand(
    inputs=[payment_failures["latest_payment_fail"]],
    schema={"time_since_user_last_payment_failure": float},
)
def since_failure(inputs: pl.DataFrame) -> pl.DataFrame:
    """Seconds since a payment of the user failed."""
    passed = pl.col("request_time") - pl.col("latest_payment_fail")
    seconds = passed.dt.total_seconds(fractional=True)
    return inputs.select(time_since_user_last_payment_failure=seconds)


fraud = FeatureService(
    "fraud",
    [card_spend, user_day, card_sitting, user_attempts, since_checkout, since_failure],
    labels=labels,
    label="is_fraud",
    request={"amount": float, "category": str},
    transformations={"mean_4h": StandardScaler(), "spent_day_before": StandardScaler()},
    boundary="strict",  # the transaction itself is in the features only after it
    owner="risk",
    description="Is a card transaction a fraud?",
)


def train_fn(examples: "EntityExamples", hparams: Mapping[str, Any]) -> "RandomForestClassifier":
    """A forest, for which a missing value is a value."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(max_features=0.5, random_state=0, **hparams)
    return forest.fit(examples.features, examples.label)
