"""Runs one side of `features_backfill` once, in a process of its own; prints one JSON line.

python -m benchmarks._backfill_sides SIDE FEATURE FILE OUT
"""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.feature_backfill.backfill import backfill
from components.feature_values.changes import changes
from components.feature_values.keyed import keyed_events
from components.features import (
    Aggregator,
    Entity,
    FeatureView,
    Last,
    Lifetime,
    Mean,
    Parquet,
    Rolling,
    Source,
    UnifiedTransformer,
    stream_feature_view,
)
from components.features.window import Window

HOURS = 4
Events = Callable[[pl.DataFrame], pl.DataFrame]


def all_events(events: pl.DataFrame) -> pl.DataFrame:
    return events


def fails(events: pl.DataFrame) -> pl.DataFrame:
    return events.filter(pl.col("fail"))


def view_of(feature: str, file: str) -> FeatureView:
    """`mean`: 4h rolling mean per card; `fail`: amount of the latest failed payment."""
    source = Source("txns", Parquet(file), event_time="ts")
    window: Window = Rolling(f"{HOURS}h") if feature == "mean" else Lifetime()
    one: Aggregator[Any] = Mean() if feature == "mean" else Last()
    types: dict[str, Any] = {feature: float}

    @stream_feature_view(
        entities=[Entity("card", ["card_id"])], source=source, schema=types, version=1
    )
    def card(events: Any) -> Any:
        return events | UnifiedTransformer(all_events if feature == "mean" else fails, window, one)

    return card


def ours(feature: str, file: str, out: Path) -> int:
    """Files in, change log out: typed, counted, hashed, restartable."""
    return backfill(view_of(feature, file), out).rows_out


def polars(feature: str, file: str, out: Path) -> int:
    """The same rows by polars' own expressions."""
    log = _polars(feature, pl.read_parquet(file))
    log.write_parquet(out / "log.parquet")
    return log.height


def duckdb(feature: str, file: str, out: Path) -> int:
    """The same rows by window functions."""
    import duckdb as engine

    query, target = _sql(feature, f"read_parquet('{file}')"), out / "log.parquet"
    engine.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    found = engine.execute(f"SELECT count(*) FROM read_parquet('{target}')").fetchone()
    return int(found[0]) if found else 0


def kernel(frame: pl.DataFrame, view: FeatureView) -> int:
    """Events in memory to a change log in memory."""
    events = keyed_events(view, view.sources[0], frame).events
    return changes(view, events).height


def naive(feature: str, frame: pl.DataFrame) -> int:
    """Looks all events of the card through again at each timestamp."""
    rows = 0
    for _, card in frame.group_by("card_id"):
        mine = card.filter(pl.col("fail")) if feature == "fail" else card
        at = mine["ts"].to_physical().to_numpy()
        values, size = mine["value"].to_numpy(), HOURS * 3_600_000_000
        points = np.unique(np.concatenate([at, at + size]) if feature == "mean" else at)
        for point in points:
            if feature == "mean":
                window = values[(at <= point) & (at > point - size)]
                _ = window.mean() if window.size else None
            else:
                _ = values[np.flatnonzero(at <= point)[-1]]
        rows += len(points)
    return rows


def beam_sliding(feature: str, frame: pl.DataFrame) -> int:
    """Beam's SlidingWindows of 4 h every 10 minutes: only so often is there a value."""
    import apache_beam as beam
    from apache_beam.transforms import window

    rows = [(card, ts.timestamp(), value) for card, ts, value in frame.select(
        "card_id", "ts", "value").rows()]  # fmt: skip
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(rows)
            | beam.Map(lambda row: window.TimestampedValue((row[0], row[2]), row[1]))
            | beam.WindowInto(window.SlidingWindows(HOURS * 3600, 600))
            | beam.combiners.Mean.PerKey()
        )
    return len(rows)


def _polars(feature: str, frame: pl.DataFrame) -> pl.DataFrame:
    if feature == "fail":
        failed = frame.filter(pl.col("fail")).select("card_id", valid_from="ts", fail="value")
        ordered = failed.sort("card_id", "valid_from", "fail")
        return ordered.unique(["card_id", "valid_from"], keep="last", maintain_order=True)
    size = timedelta(hours=HOURS)
    enter = frame.select("card_id", valid_from="ts", value="value")
    leave = enter.select("card_id", pl.col("valid_from") + size, value=pl.lit(None, pl.Float64))
    return (
        pl.concat([enter, leave])
        .sort("card_id", "valid_from")
        .rolling("valid_from", period=size, group_by="card_id")
        .agg(mean=pl.col("value").mean())
        .unique(["card_id", "valid_from"], keep="any", maintain_order=True)
    )


def _sql(feature: str, table: str) -> str:
    if feature == "fail":
        return (
            f"SELECT card_id, ts AS valid_from, max(value) AS fail FROM {table} WHERE fail "
            "GROUP BY ALL ORDER BY card_id, valid_from"
        )
    return f"""
        WITH points AS (
          SELECT card_id, ts AS valid_from, value FROM {table}
          UNION ALL
          SELECT card_id, ts + INTERVAL {HOURS} HOUR, NULL FROM {table}),
        swept AS (
          SELECT card_id, valid_from, avg(value) OVER (PARTITION BY card_id ORDER BY valid_from
            RANGE BETWEEN INTERVAL {HOURS * 3_600_000_000 - 1} MICROSECOND PRECEDING
            AND CURRENT ROW) AS mean FROM points)
        SELECT card_id, valid_from, any_value(mean) AS mean FROM swept
        GROUP BY card_id, valid_from ORDER BY card_id, valid_from"""


def run(side: str, feature: str, file: str, out: Path) -> dict[str, Any]:
    """Measures a side after its imports and a first run on few events."""
    first = str(out) + ".few.parquet"
    pl.scan_parquet(file).head(100).collect().write_parquet(first)
    _prepared(side, feature, first, out)()
    Path(first).unlink()
    work = _prepared(side, feature, file, out)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    shutil.rmtree(out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "peak_mb": round(peak), "rows": rows}


def _prepared(side: str, feature: str, file: str, out: Path) -> Callable[[], int]:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    to_files = {"ours": ours, "polars": polars, "duckdb": duckdb}
    if side in to_files:
        return lambda: to_files[side](feature, file, out)
    frame = pl.read_parquet(file)
    if side == "kernel":
        view = view_of(feature, file)
        return lambda: kernel(frame, view)
    in_memory: dict[str, Callable[[str, pl.DataFrame], int]] = {
        "polars-memory": lambda feature, frame: _polars(feature, frame).height,
        "duckdb-memory": _duckdb_memory, "naive": naive, "beam-sliding": beam_sliding,
    }  # fmt: skip
    return lambda: in_memory[side](feature, frame)


def _duckdb_memory(feature: str, frame: pl.DataFrame) -> int:
    import duckdb as engine

    with engine.connect() as connection:
        connection.register("events", frame.to_arrow())
        return int(connection.sql(_sql(feature, "events")).to_arrow_table().num_rows)


if __name__ == "__main__":
    print(json.dumps(run(*sys.argv[1:4], Path(sys.argv[4]))))
