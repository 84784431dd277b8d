"""Measures ExampleGen and StatisticsGen against the stock ones and against the limit.

    python benchmarks/ingest.py --list
    python benchmarks/ingest.py --case csv-325k

Every measurement runs in a process of its own, alternating, after its imports. The last line is
one JSON object; a ratio below 1 is faster than the peer. Ratios are of CPU seconds, because the
sides use different numbers of threads; wall seconds are in the object too.

`limit` for CSV is pyarrow.csv with dictionary-encoded words and one Parquet writer with zstd, the
same columns in the same format, without types by the user, rejects, splits or spaces to remove.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from user_code.census import COLUMNS

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 3
CASES = {
    "csv-325k": (325_000, ("ours", "limit"), ("stock",)),
    "csv-3m": (3_000_000, ("ours", "limit"), ()),
    "stats-325k": (325_000, ("statistics", "stock_statistics", "statistics_in_memory"), ()),
}
"""Case: rows, sides that run REPEATS times, sides that run once."""


def main() -> None:
    arguments = _parse_arguments()
    if arguments.list:
        print("\n".join(CASES))
    elif arguments.measure:
        print(json.dumps(_measure(SIDES[arguments.measure], Path(arguments.folder))))
    else:
        print(json.dumps(run_case(arguments.case)))


def run_case(case: str) -> dict[str, Any]:
    """Returns the figures of one case."""
    rows, repeated, once = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        _make_input(rows, Path(folder))
        if case.startswith("stats"):
            _run_side("ours", folder)
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in (*repeated, *once)}
        for repeat in range(REPEATS):
            for side in (*repeated, *(once if repeat == 0 else ())):
                runs[side].append(_run_side(side, folder))
                print(side, runs[side][-1], file=sys.stderr)
    figures = {side: _median(of_side) for side, of_side in runs.items()}
    return _summary(case, rows, figures)


def _summary(case: str, rows: int, figures: dict[str, dict[str, float]]) -> dict[str, Any]:
    is_statistics = case.startswith("stats")
    ours = figures["statistics" if is_statistics else "ours"]
    peers = {
        "limit": figures["statistics_in_memory" if is_statistics else "limit"],
        "stock": figures.get("stock_statistics" if is_statistics else "stock"),
    }
    result: dict[str, Any] = {"case": case, "rows": rows, **ours}
    for name, peer in peers.items():
        if peer is not None:
            result[f"ratio_to_{name}"] = round(ours["cpu_s"] / peer["cpu_s"], 3)
            result[f"wall_ratio_to_{name}"] = round(ours["wall_s"] / peer["wall_s"], 3)
            result[f"{name}_cpu_s"] = peer["cpu_s"]
            result[f"{name}_peak_mb"] = peer["peak_mb"]
    return result


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}


def _make_input(rows: int, folder: Path) -> None:
    """Writes the rows with a header, once as in Adult and once without spaces.

    The spaces are for us alone: the other sides would read them into the words.
    """
    script = ROOT / "data" / "make_census.py"
    raw = folder / "raw.csv"
    subprocess.run([sys.executable, script, "--rows", str(rows), "--out", raw], check=True)
    for name, comma in (("spaced", ", "), ("data", ",")):
        (folder / name).mkdir()
        # Line by line: a child's peak memory starts from that of the process that forked it.
        with raw.open() as source, (folder / name / "rows.csv").open("w") as out:
            out.write(comma.join(COLUMNS) + "\n")
            out.writelines(line.replace(", ", comma) for line in source)


def _run_side(side: str, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", side, "--folder", folder]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, check=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _measure(prepare: Callable[[Path], Callable[[], object]], folder: Path) -> dict[str, float]:
    work = prepare(folder)
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _ours(folder: Path) -> Callable[[], object]:
    from components.example_gen.files import find_files
    from components.example_gen.ingest import ingest
    from components.example_gen.source import CsvSource, IngestConfig

    config = IngestConfig(CsvSource((str(folder / "spaced"),)))
    return lambda: ingest(config, find_files(config), str(folder / "examples"))


def _limit(folder: Path) -> Callable[[], object]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    words = {"workclass", "education", "marital-status", "occupation", "relationship", "race",
             "sex", "native-country", "income"}  # fmt: skip
    encoded = pa.dictionary(pa.int32(), pa.string())
    types = {name: encoded if name in words else pa.int64() for name in COLUMNS}

    def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
        offsets = np.arange(batch.num_rows + 1, dtype=np.int32)
        lists = [pa.ListArray.from_arrays(offsets, column) for column in batch.columns]
        return pa.RecordBatch.from_arrays(lists, names=list(COLUMNS))

    def work() -> None:
        reader = pa_csv.open_csv(
            folder / "data" / "rows.csv",
            pa_csv.ReadOptions(block_size=8 * 2**20),
            convert_options=pa_csv.ConvertOptions(column_types=types),
        )
        schema = pa.schema([(name, pa.list_(kind)) for name, kind in types.items()])
        out = folder / "limit.parquet"
        with pq.ParquetWriter(out, schema, compression="zstd", store_schema=False) as writer:
            for batch in reader:
                writer.write_batch(as_lists(batch))

    return work


def _stock(folder: Path) -> Callable[[], object]:
    from tfx.components.example_gen.csv_example_gen.executor import Executor
    from tfx.components.example_gen.utils import make_default_output_config
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.proto import example_gen_pb2
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "stock")
    inputs = example_gen_pb2.Input(
        splits=[example_gen_pb2.Input.Split(name="single_split", pattern="*")]
    )
    properties = {
        "input_base": str(folder / "data"),
        "input_config": proto_utils.proto_to_json(inputs),
        "output_config": proto_utils.proto_to_json(make_default_output_config(inputs)),
        "output_data_format": example_gen_pb2.FORMAT_TF_EXAMPLE,
        "output_file_format": example_gen_pb2.FORMAT_TFRECORDS_GZIP,
    }
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=FnApiRunner"])
    return lambda: Executor(context).Do({}, {"examples": [examples]}, properties)


def _statistics(folder: Path) -> Callable[[], object]:
    import tensorflow_data_validation  # noqa: F401 - imports are not measured

    from components.examples.read import ExamplesSplit
    from components.statistics_gen.compute import compute_statistics, write_statistics

    def work() -> None:
        for split in ("train", "eval"):
            found = compute_statistics(ExamplesSplit(str(folder / "examples"), split))
            write_statistics(found, str(folder / "statistics" / f"Split-{split}"))

    return work


def _statistics_in_memory(folder: Path) -> Callable[[], object]:
    import pyarrow.parquet as pq
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory

    def work() -> None:
        for split in ("train", "eval"):
            table = pq.read_table(folder / "examples" / f"Split-{split}").combine_chunks()
            [batch] = table.to_batches()
            generate_statistics_in_memory(batch, tfdv.StatsOptions())

    return work


def _stock_statistics(folder: Path) -> Callable[[], object]:
    from tfx.components.statistics_gen.executor import Executor
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    examples, found = standard_artifacts.Examples(), standard_artifacts.ExampleStatistics()
    examples.uri, found.uri = str(folder / "examples"), str(folder / "stock_statistics")
    examples.split_names = '["train", "eval"]'
    examples.set_string_custom_property("payload_format", "FORMAT_PARQUET")
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=FnApiRunner"])
    return lambda: Executor(context).Do({"examples": [examples]}, {"statistics": [found]}, {})


SIDES = {
    "ours": _ours,
    "limit": _limit,
    "stock": _stock,
    "statistics": _statistics,
    "statistics_in_memory": _statistics_in_memory,
    "stock_statistics": _stock_statistics,
}


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, help="case to measure")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--measure", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (arguments.case or arguments.list or arguments.measure):
        parser.error("give --case or --list")
    return arguments


if __name__ == "__main__":
    main()
