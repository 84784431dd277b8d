"""A small service, and rows of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from components.features import (
    Count,
    Entity,
    FeatureService,
    Mean,
    Parquet,
    Rolling,
    Source,
    UnifiedTransformer,
    stream_feature_view,
)

CARD = Entity("card", keys=["card_id"])
TXNS = Source("txns", batch=Parquet("txns"), event_time="ts", created="seen", id="txn_id")
LABELS = Source("frauds", batch=Parquet("labels"), event_time="ts", created="seen", id="txn_id")


@stream_feature_view(
    entities=[CARD], source=TXNS, schema={"mean_4h": float, "count_4h": int}, ttl="1d", online=True
)
def card_spend(events: Any) -> Any:
    return events | UnifiedTransformer(
        lambda e: e.with_columns(value=pl.col("amount")), Rolling("4h"), (Mean(), Count())
    )


FRAUD = FeatureService(
    "fraud",
    features=[card_spend],
    labels=LABELS,
    label="is_fraud",
    request={"txn_id": str, "amount": float, "category": str},
)
START = datetime(2024, 5, 1, tzinfo=UTC)
END = START + timedelta(days=3650)


def served_row(number: int, **other: Any) -> dict[str, Any]:
    time = START + timedelta(seconds=number)
    return {
        "request_id": f"r{number}",
        "time": time,
        "model_version": "1",
        "entity": "grocery",
        "prediction": "no",
        "score": 0.25,
        "key.card_id": f"c{number % 7}",
        "request.txn_id": f"t{number}",
        "request.amount": number / 3,
        "request.category": "grocery",
        "feature.mean_4h": number / 7,
        "feature.count_4h": number,
        "valid_from.card_spend": time - timedelta(minutes=1),
        **other,
    }
