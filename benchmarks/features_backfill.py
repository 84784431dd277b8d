"""Backfills of features against polars, DuckDB, naive recomputation and Beam's SlidingWindows.

    python -m benchmarks.features_backfill --list
    python -m benchmarks.features_backfill --case backfill-1m

Prints one JSON line a case. `mean` is the 4h rolling mean per card, `fail` the amount of the latest
failed payment (a tenth of the events). Every measurement is a process of its own, after its imports
and a first run on a hundred events; the sides of a round run in turn, and medians are compared.

ours, polars, duckdb    From a Parquet file to a Parquet file with the same rows: each time at which
                        an event enters or leaves the window. Only ours types and counts rows, keeps
                        the events, goes on after a crash, and needs no more memory for more events.
kernel, polars-memory, duckdb-memory
                        The same from frame to frame.
naive                   All events of a card again at each timestamp, by numpy; of at most 200,000
                        events, extrapolated by the event.
beam-sliding            SlidingWindows of 4 h every 10 minutes, on the Fn API runner; of at most
                        1,000 events, extrapolated by the event.

`ratio_to_best` is ours over the best of polars and DuckDB, below 1 is faster. The case
`backfill-memory` compares the peak of 10M and of 50M events.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CASES = {"backfill-1m": 1_000_000, "backfill-10m": 10_000_000, "backfill-memory": 50_000_000}
FILES, MEMORY = ("ours", "polars", "duckdb"), ("kernel", "polars-memory", "duckdb-memory")
EXTRAPOLATED = {"naive": 200_000, "beam-sliding": 1_000}
PER_CARD = (1_000, 100)
CHUNK = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for case in [arguments.case] if arguments.case else CASES:
        if arguments.list:
            print(case)
            continue
        with tempfile.TemporaryDirectory() as folder:
            if case == "backfill-memory":
                measured = memory(Path(folder))
            else:
                measured = speed(Path(folder), CASES[case], arguments.rounds)
        print(json.dumps({"case": case, **measured}))


def speed(folder: Path, events: int, rounds: int) -> dict[str, Any]:
    """Each feature at each number of events a card."""
    figures = {}
    for per_card in PER_CARD:
        file = write_events(folder, events, per_card)
        for feature in ("mean", "fail"):
            figures[f"{feature}, {per_card} a card"] = _compared(
                folder, file, feature, per_card, events, rounds
            )
        file.unlink()
    return figures


def memory(folder: Path) -> dict[str, Any]:
    """Peak of ours at 10M and at 50M events."""
    peaks = {}
    for events in (10_000_000, 50_000_000):
        file = write_events(folder, events, 1_000)
        peaks[f"{events // 1_000_000}m"] = _measured("ours", "mean", file, folder)
        file.unlink()
    ratio = peaks["50m"]["peak_mb"] / peaks["10m"]["peak_mb"]
    return {"peak_ratio": round(ratio, 2), **peaks}


def write_events(folder: Path, events: int, per_card: int) -> Path:
    """Seeded events of 30 days, in the order of time."""
    import numpy as np
    import polars as pl
    import pyarrow.parquet as pq

    rng, path = np.random.default_rng(events), folder / f"events-{events}-{per_card}.parquet"
    span, writer = 30 * 86_400_000_000, None
    for first in range(0, events, CHUNK):
        rows = min(CHUNK, events - first)
        start, end = span * first // events, span * (first + rows) // events
        frame = pl.DataFrame(
            {
                "card_id": pl.Series(rng.integers(0, max(events // per_card, 1), rows)).cast(str),
                "ts": pl.Series(np.sort(rng.integers(start, end, rows))).cast(pl.Datetime("us")),
                "value": rng.integers(1, 20_000, rows) / 100,
                "fail": rng.random(rows) < 0.1,
            }
        )
        table = frame.with_columns(pl.col("ts").dt.replace_time_zone("UTC")).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=250_000)
    if writer is not None:
        writer.close()
    return path


def _compared(
    folder: Path, file: Path, feature: str, per_card: int, events: int, rounds: int
) -> dict[str, Any]:
    taken: dict[str, list[dict[str, Any]]] = {side: [] for side in (*FILES, *MEMORY)}
    for _ in range(rounds):
        for side, measured in taken.items():
            measured.append(_measured(side, feature, file, folder))
    figures = {side: _median(measured) for side, measured in taken.items()}
    if len({figure["rows"] for figure in figures.values()}) > 1:
        raise SystemExit(f"the sides made different numbers of rows: {figures}")
    for side, most in EXTRAPOLATED.items():
        if (side, feature) == ("beam-sliding", "fail"):
            continue
        few = write_events(folder, min(most, events), per_card)
        figures[side] = _measured(side, feature, few, folder)
        figures[side]["extrapolated_s"] = round(
            figures[side]["wall_s"] * events / min(most, events), 1
        )
        few.unlink()
    best = min(figures[side]["wall_s"] for side in ("polars", "duckdb"))
    best_memory = min(figures[side]["wall_s"] for side in ("polars-memory", "duckdb-memory"))
    return {
        "ratio_to_best": round(figures["ours"]["wall_s"] / best, 2),
        "ratio_to_best_in_memory": round(figures["kernel"]["wall_s"] / best_memory, 2),
        "times_faster_than_naive": round(
            figures["naive"]["extrapolated_s"] / figures["ours"]["wall_s"], 1
        ),
        **figures,
    }


def _median(measured: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: statistics.median(one[key] for one in measured) for key in measured[0]}


def _measured(side: str, feature: str, file: Path, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks._backfill_sides", side, feature, str(file)]
    done = subprocess.run(
        [*command, str(folder / "out")], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    print(feature, side, done.stdout.strip(), file=sys.stderr, flush=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main()
