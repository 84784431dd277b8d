"""Cards, their transactions and labels: small, seeded, in real files."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from components.features import (
    Count,
    Entity,
    FeatureService,
    FeatureView,
    JsonLines,
    LabelEncoder,
    Last,
    Lifetime,
    Mean,
    Parquet,
    Rolling,
    Source,
    StandardScaler,
    UnifiedTransformer,
    on_demand,
    stream_feature_view,
)

CARD = Entity("card", keys=["card_id"])
START = datetime(2024, 5, 1, tzinfo=UTC)


def same(events: pl.DataFrame) -> pl.DataFrame:
    return events


def write_data(folder: Path, events: int = 400, labels: int = 120, seed: int = 7) -> None:
    """Ten days of twelve cards; some events and labels come late."""
    draw = random.Random(seed)

    def at() -> datetime:
        return START + timedelta(seconds=draw.randrange(10 * 86_400))

    def rows(count: int, most_late_s: int) -> dict[str, list[Any]]:
        times = [at() for _ in range(count)]
        late = [timedelta(seconds=draw.randrange(most_late_s)) for _ in times]
        return {
            "card_id": [f"c{draw.randrange(12)}" for _ in times],
            "ts": times,
            "seen": [time + after for time, after in zip(times, late, strict=True)],
            "id": [str(number) for number in range(count)],
        }

    txns = rows(events, 7_200)
    txns |= {"amount": [round(draw.uniform(1, 100), 2) for _ in txns["ts"]]}
    txns |= {"shop": [draw.choice("abc") for _ in txns["ts"]]}
    asked = rows(labels, 86_400)
    asked |= {"asked": [draw.randrange(1, 50) for _ in asked["ts"]]}
    asked |= {"is_fraud": [draw.random() < 0.2 for _ in asked["ts"]]}
    for name, columns in (("txns", txns), ("labels", asked)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        frame = pl.DataFrame(columns)
        half = frame.height // 2
        frame.head(half).write_parquet(folder / name / "1.parquet")
        frame.tail(frame.height - half).write_parquet(folder / name / "2.parquet")


def write_stream(folder: Path) -> None:
    """The same transactions as they arrived."""
    txns = pl.read_parquet(folder / "txns" / "*.parquet").sort("seen")
    times = pl.col("ts", "seen").dt.to_string("iso:strict")
    txns.with_columns(times).write_ndjson(folder / "txns.jsonl")


def spend_view(folder: Path, lateness: str = "0s", **options: Any) -> FeatureView:
    stream = JsonLines(folder / "txns.jsonl")
    txns = Source("txns", Parquet(folder / "txns"), "ts", stream, created="seen", id="id")

    @stream_feature_view(
        entities=[CARD], source=txns, schema={"mean_4h": float, "count_4h": int}, **options
    )
    def card_spend(events: Any) -> Any:
        return events | UnifiedTransformer(
            same, Rolling("4h", lateness=lateness), (Mean("amount"), Count())
        )

    return card_spend


def last_view(folder: Path, **options: Any) -> FeatureView:
    txns = Source("txns", Parquet(folder / "txns"), "ts", created="seen", id="id")

    @stream_feature_view(
        entities=[CARD], source=txns, schema={"last_at": datetime, "last_shop": str}, **options
    )
    def card_last(events: Any) -> Any:
        return events | UnifiedTransformer(same, Lifetime(), (Last("event_time"), Last("shop")))

    return card_last


def fraud_service(folder: Path, **options: Any) -> FeatureService:
    last = last_view(folder, online=True)

    @on_demand(inputs=[last["last_at"]], schema={"since_last": float, "per_second": float},
               request={"asked": int})  # fmt: skip
    def since(inputs: pl.DataFrame) -> pl.DataFrame:
        passed = (pl.col("request_time") - pl.col("last_at")).dt.total_seconds(fractional=True)
        return inputs.select(since_last=passed, per_second=pl.col("asked") / (passed + 1))

    labels = Source("labels", Parquet(folder / "labels"), "ts", created="seen", id="id")
    given: dict[str, Any] = {
        "labels": labels,
        "label": "is_fraud",
        "request": {"asked": int},
        "transformations": {"mean_4h": StandardScaler(), "last_shop": LabelEncoder()},
    }
    features = [spend_view(folder, online=True), last["last_shop"], since]
    return FeatureService(**{"name": "fraud", "features": features, **given, **options})
