"""Views and events of the tests of backfills."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.features import (
    Count,
    Entity,
    FeatureView,
    JsonLines,
    Last,
    Lifetime,
    Max,
    Mean,
    Parquet,
    Rolling,
    Session,
    Source,
    Std,
    Sum,
    Tumbling,
    UnifiedTransformer,
    stream_feature_view,
)

CARD = Entity("card", keys={"card_id": str, "shop": int})
WINDOWS = [Rolling("2h"), Tumbling("3h"), Session("20m"), Lifetime()]
SCHEMA = {"n": int, "total": float, "mean": float, "std": float, "most": int, "kind": str}
START = datetime(2024, 1, 1, tzinfo=UTC)


def paid(events: pl.DataFrame) -> pl.DataFrame:
    return events.filter(pl.col("amount") != 13)


def failed(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(amount=pl.lit(None, pl.Float64))


def view_on(folder: Path, window: Any) -> FeatureView:
    """Of transactions (Parquet) and failures (JSON lines) in a folder."""
    txns = Source("txns", Parquet(folder / "txns"), event_time="ts", created="seen", id="id")
    fails = Source("fails", JsonLines(folder / "fails"), event_time="at", created="seen")
    aggregators = Count(), Sum("amount"), Mean("amount"), Std("amount"), Max("code"), Last("kind")

    @stream_feature_view(entities=[CARD], source=[txns, fails], schema=SCHEMA)
    def spend(*events: Any) -> Any:
        return events | UnifiedTransformer((paid, failed), window, aggregators)

    return spend


def write_events(folder: Path, rows: int = 3_000, hot: float = 0.0) -> None:
    """Seeded events of 20 cards over two days: duplicates, unreadable rows, nulls.

    Args:
      folder: For the files of both sources.
      rows: Of transactions; a sixth as many failures.
      hot: Share of the events that one card has.
    """
    rng = np.random.default_rng(rows)
    (folder / "txns" / "more").mkdir(parents=True)
    (folder / "fails").mkdir()
    txns = _events(rng, rows, hot).with_columns(
        id=pl.when(pl.int_range(pl.len()) % 5 > 0).then(pl.int_range(pl.len()).cast(pl.String)),
        amount=pl.when(pl.Series(rng.random(rows) > 0.1)).then(
            pl.Series(rng.integers(0, 50, rows).astype(float))
        ),
    )
    txns = pl.concat([txns, txns.sample(rows // 20, seed=1)]).sort("seen", "ts")
    bad = pl.when(pl.int_range(pl.len()) % 500 == 7).then(None).otherwise(pl.col("card_id"))
    txns = txns.with_columns(card_id=bad)
    half = txns.height // 2
    txns.head(half).write_parquet(folder / "txns" / "a.parquet", row_group_size=400)
    txns.tail(-half).write_parquet(folder / "txns" / "more" / "b.parquet", row_group_size=400)
    fails = _events(rng, rows // 6, hot).rename({"ts": "at"}).drop("kind").write_ndjson() or ""
    lines = fails.splitlines()
    text = "\n".join([lines[0], "", "{broken", *lines[1:], '{"card_id": "c1", "shop": 1}'])
    (folder / "fails" / "c.jsonl").write_text(f"{text}\n")


def _events(rng: Any, rows: int, hot: float) -> pl.DataFrame:
    seconds = rng.integers(0, 2 * 86_400, rows)
    cards = np.where(rng.random(rows) < hot, 0, rng.integers(0, 20, rows))
    late = rng.exponential(60, rows).astype(int)
    return pl.DataFrame(
        {
            "card_id": [f"c{card}" for card in cards],
            "shop": cards % 3,
            "ts": pl.Series(seconds),
            "seen": pl.Series(seconds + late),
            "code": pl.Series(rng.integers(-5, 5, rows)),
            "kind": pl.Series(rng.choice(["chip", "web", "é"], rows)),
        }
    ).with_columns(
        (pl.duration(seconds=pl.col(name)) + pl.lit(START)).alias(name) for name in ("ts", "seen")
    )
