"""Point-in-time join: ours, embedded and on Beam, beside polars, DuckDB, pandas and feast.

    python -m benchmarks.features_join --case pit-1m

1M events of 10,000 keys and 100,000 labels; `pit-zipf` with keys by Zipf's law (exponent 1.1), of
which one has a seventh of all rows. All sides take turns in one process, after one turn that does
not count; medians are compared. Prints one JSON line a case: wall and CPU seconds of each side,
and `ratio_to_polars`, which is to `polars`: sort both by time, `join_asof`, no restored order, no
check. Peers read frames in memory, feast its Parquet file. "beam, ten labels" is what Beam costs
without the data.

feast's file store makes a row of every pair of label and event of a key: in `pit-zipf` it is
measured on a tenth of the events and labels, and what is printed is ten times that, which is less
than it would take.
"""

import argparse
import json
import statistics
import time
from typing import Any

from benchmarks._feature_join_sides import Side, data, feast_file_store, sides

EVENTS, KEYS, LABELS = 1_000_000, 10_000, 100_000
CASES = {"pit-1m": 0.0, "pit-zipf": 1.1}
"""Case -> skew."""
ROUNDS, FEAST_ROUNDS = 9, 3
FEAST = "feast file store"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    arguments = parser.parse_args()
    for case in [arguments.case] if arguments.case else CASES:
        print(case if arguments.list else json.dumps(measure(case)), flush=True)


def measure(case: str) -> dict[str, Any]:
    """Runs all sides of a case, taking turns."""
    labels, log = data(EVENTS, KEYS, LABELS, CASES[case])
    tenth = 10 if CASES[case] else 1
    fewer = data(EVENTS // tenth, KEYS, LABELS // tenth, CASES[case])
    taken: dict[str, list[tuple[float, float]]] = {}
    given = sides(labels, log)
    with feast_file_store(*fewer) as feast:
        for turn in range(ROUNDS + 1):
            turns = {**given, FEAST: feast} if turn <= FEAST_ROUNDS else given
            for name, side in turns.items():
                took = _seconds(side)
                if turn:
                    taken.setdefault(name, []).append(took)
        rows = len(feast())
    times = {
        name: [statistics.median(x) for x in zip(*t, strict=True)] for name, t in taken.items()
    }
    times[FEAST] = [value * tenth for value in times[FEAST]]
    wall = {name: one[0] for name, one in times.items()}
    return {
        "case": case,
        "ratio_to_polars": round(wall["ours"] / wall["polars"], 2),
        "beam_ratio_to_polars": round(wall["ours on beam"] / wall["polars"], 2),
        "feast_ratio_to_ours": round(wall[FEAST] / wall["ours"], 1),
        "feast_rows": rows,
        "feast_labels": fewer[0].height,
        "wall_s": {name: round(value, 3) for name, value in wall.items()},
        "cpu_s": {name: round(one[1], 3) for name, one in times.items()},
    }


def _seconds(side: Side) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    side()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
