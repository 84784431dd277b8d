"""What `features_online` serves: two views of cards, by our declarations and by feast's."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.features import (
    Count,
    Entity,
    FeatureService,
    Last,
    Lifetime,
    Max,
    Mean,
    Parquet,
    Rolling,
    Source,
    UnifiedTransformer,
    stream_feature_view,
)

CARDS = 10_000
NOW = datetime.now(UTC).replace(microsecond=0)
SPEND = {"mean_4h": float, "count_4h": int, "max_4h": float}
FAILS = {"latest_code": str, "fails": int}

CARD = Entity("card", keys=["card_id"])
TXNS = Source("txns", Parquet("txns"), "ts")


@stream_feature_view(entities=[CARD], source=TXNS, schema=SPEND, ttl="30d", online=True)
def card_spend(events: Any) -> Any:
    return events | UnifiedTransformer(
        lambda e: e, Rolling("4h"), (Mean("amount"), Count(), Max("amount"))
    )


@stream_feature_view(entities=[CARD], source=TXNS, schema=FAILS, ttl="30d", online=True)
def card_fails(events: Any) -> Any:
    return events | UnifiedTransformer(lambda e: e, Lifetime(), (Last("code"), Count()))


fraud = FeatureService("fraud", [card_spend, card_fails], boundary="inclusive")


def rows() -> dict[str, pl.DataFrame]:
    """A row of each card for each view."""
    random = np.random.default_rng(0)
    keys = pl.DataFrame({"card_id": [f"card-{i:06d}" for i in range(CARDS)]}).with_columns(
        valid_from=pl.lit(NOW), created=pl.lit(NOW)
    )
    counts = random.integers(0, 20, CARDS)
    spend = keys.with_columns(
        mean_4h=pl.Series(random.gamma(2, 20, CARDS)),
        count_4h=pl.Series(counts),
        max_4h=pl.Series(random.gamma(2, 60, CARDS)),
    )
    codes = pl.Series(random.choice(["nsf", "closed", "limit"], CARDS).tolist())
    return {
        "card_spend": spend,
        "card_fails": keys.with_columns(latest_code=codes, fails=pl.Series(counts)),
    }


FEAST = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float64, Int64, String

card = Entity(name="card", join_keys=["card_id"])


def view(name, fields):
    source = FileSource(name=name, path=f"{name}.parquet", timestamp_field="valid_from",
                        created_timestamp_column="created")
    schema = [Field(name=one, dtype=kind) for one, kind in fields.items()]
    return FeatureView(name=name, entities=[card], ttl=timedelta(days=30), source=source,
                       schema=[Field(name="card_id", dtype=String), *schema], online=True)


card_spend = view("card_spend", {"mean_4h": Float64, "count_4h": Int64, "max_4h": Float64})
card_fails = view("card_fails", {"latest_code": String, "fails": Int64})
fraud = FeatureService(name="fraud", features=[card_spend, card_fails])
"""


def feast_repository(folder: Path, online: str) -> None:
    """Its declarations and the same rows, in the folder; `online` is YAML."""
    folder.mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(
        "project: bench\nregistry: registry.db\nprovider: local\n"
        f"entity_key_serialization_version: 3\nonline_store:\n{online}"
    )
    (folder / "declared.py").write_text(FEAST)
    for name, frame in rows().items():
        frame.write_parquet(folder / f"{name}.parquet")
