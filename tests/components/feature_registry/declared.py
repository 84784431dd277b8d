"""Declarations for tests of the registry."""

import re
from typing import Any

import polars as pl

from components.features import (
    Count,
    Entity,
    FeatureGroup,
    FeatureService,
    FeatureView,
    Lifetime,
    Mean,
    OnDemandView,
    Parquet,
    Rolling,
    Source,
    UnifiedTransformer,
)


def to_amount(events: Any) -> Any:
    return events.with_columns(value=pl.col("amount"))


def to_double(events: Any) -> Any:
    return events.with_columns(value=pl.col("amount") * 2)


def ratio(inputs: Any) -> Any:
    return inputs.select(ratio=pl.col("amount") / pl.col("mean_4h"))


CARD = Entity("card", keys=["card_id"], description="A payment card.")
TXNS = Source("txns", Parquet("data/txns"), "ts", created="seen", owner="risk")
BY = UnifiedTransformer(to_amount, Rolling("4h", lateness="30m"), (Mean(), Count()))


def view(**change: Any) -> FeatureView:
    values: dict[str, Any] = {
        "name": "card_spend", "entities": (CARD,), "sources": (TXNS,), "transformer": BY,
        "schema": {"mean_4h": float, "count_4h": int}, "ttl_us": 86_400_000_000, "version": 3,
        "owner": "risk", "description": "What a card spent.", "online": True,
    }  # fmt: skip
    return FeatureView(**{**values, **change})


def on_demand(of: FeatureView, **change: Any) -> OnDemandView:
    schema, request = {"ratio": float}, {"amount": float}
    return OnDemandView("spend_ratio", ratio, (of[["mean_4h"]],), schema, request, **change)


def service(features: Any, **change: Any) -> FeatureService:
    given = {"labels": TXNS, "label": "is_fraud", "request": {"amount": float}, "owner": "ml"}
    return FeatureService("fraud", features, **{**given, **change})


def group() -> FeatureGroup:
    schema = {"segment": str}
    return FeatureGroup("profile", CARD, "updated_at", schema, owner="crm", description="Who.")


def many(count: int = 200) -> list[Any]:
    """So many sources and views of five features each, and a service for every ten."""
    by = UnifiedTransformer(to_amount, Lifetime(), (Mean(), Count(), Mean(), Count(), Mean()))
    views = []
    for n in range(count):
        source = Source(f"source_{n}", Parquet(f"/data/{n}"), "ts", owner=f"team{n % 9}")
        features = ("mean", "count", "sum", "highest", "last")
        schema: dict[str, Any] = {f"{name}_{n}": float for name in features}
        text = f"Spending of kind {n}."
        views.append(FeatureView(f"spend_{n}", (CARD,), (source,), schema, by, description=text))
    services = [
        FeatureService(f"model_{n}", views[10 * n : 10 * n + 10], owner="ml")
        for n in range(count // 10)
    ]
    return [*views, *services]


def said(value: object) -> str:
    """Name of a case: short, and without addresses, which differ from process to process."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))[:60]
