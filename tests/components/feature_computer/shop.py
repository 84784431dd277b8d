"""A small project: definitions and data in a folder of their own."""

import importlib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

MODULE = """
from pathlib import Path

import polars as pl

from components.features import (
    Count, Entity, FeatureService, InRange, JsonLines, Mean, Parquet, Rolling, Source,
    StandardScaler, UnifiedTransformer, on_demand, stream_feature_view,
)

DATA = Path(__file__).parent / "data"
shopper = Entity("shopper", keys=["shopper_id"])
buys = Source("buys", Parquet(DATA / "buys"), "at", JsonLines(DATA / "stream.jsonl"),
              created="known", id="buy_id")
returns = Source("returns", Parquet(DATA / "returns"), "at", created="judged", id="buy_id")


def priced(events):
    return events.filter(pl.col("price") > LEAST)


LEAST = 0


@stream_feature_view(
    entities=[shopper], source=buys, schema={"mean_1h": float, "count_1h": int}, version=1,
    ttl="1d", online=True, expect=[InRange("mean_1h", max=1000)],
)
def spend(events):
    return events | UnifiedTransformer(priced, Rolling("1h"), (Mean("price"), Count()))


@on_demand(inputs=[spend["count_1h"]], schema={"weekend": bool}, request={"price": float})
def on_weekend(inputs):
    return inputs.select(weekend=pl.col("request_time").dt.weekday() > 5)


returned = FeatureService(
    "returned", [spend, on_weekend], labels=returns, label="came_back",
    request={"price": float, "shop": str}, boundary="strict",
    transformations={"mean_1h": StandardScaler()},
)
no_labels = FeatureService("no_labels", [spend])
"""
START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS, LATE = 400, 320
CUT = START + timedelta(days=2)
END = START + timedelta(minutes=11 * ROWS)


def make(folder: Path, name: str = "shop_features") -> str:
    """Writes module and data; gives the dotted path of the service."""
    (folder / f"{name}.py").write_text(MODULE)
    buys = pl.DataFrame(
        {
            "buy_id": [f"b{n}" for n in range(ROWS)],
            "shopper_id": [f"s{n % 7}" for n in range(ROWS)],
            "price": [float(n * 37 % 101 - 5) for n in range(ROWS)],
            "at": [START + timedelta(minutes=11 * n) for n in range(ROWS)],
            "known": [
                START + timedelta(minutes=11 * n + (300 if n == LATE else n % 3))
                for n in range(ROWS)
            ],
        }
    )
    returns = buys.select("buy_id", "shopper_id", "price", "at").with_columns(
        shop=pl.Series(["north", "south"] * (ROWS // 2)),
        came_back=pl.Series([int(n % 5 == 0) for n in range(ROWS)]),
        judged=pl.col("at") + pl.duration(hours=5),
    )
    for table, rows in (("buys", buys), ("returns", returns)):
        (folder / "data" / table).mkdir(parents=True, exist_ok=True)
        rows.write_parquet(folder / "data" / table / "part.parquet")
    write_stream(folder, buys)
    return f"{name}.returned"


def write_stream(folder: Path, buys: pl.DataFrame) -> None:
    """What came since CUT, in the order of arrival, with one that came too late."""
    came = buys.filter(pl.col("known") >= CUT).sort("known")
    (folder / "data" / "stream.jsonl").write_text(came.write_ndjson())


def change(folder: Path, old: str, new: str, name: str = "shop_features") -> None:
    """Changes the module; the next import finds the change."""
    text = (folder / f"{name}.py").read_text()
    assert old in text
    (folder / f"{name}.py").write_text(text.replace(old, new))
    forget(name)


def forget(name: str = "shop_features") -> None:
    """Has the next import read the file."""
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
