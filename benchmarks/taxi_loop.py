"""Measures the loop of editing and running, against stock TFX.

    python -m benchmarks.taxi_loop --list
    python -m benchmarks.taxi_loop --case cached

The nodes of TFX's taxi example (CsvExampleGen, StatisticsGen, SchemaGen, ExampleValidator,
Transform, Trainer, Resolver, Evaluator, Pusher) on one span of 4,000 rows, with the same
`preprocessing_fn` and network. Stock: `_taxi_stock.py` under TFX's LocalDagRunner. Ours: a
`pipeline.py` of ten lines by `beamfleet run`; its eight nodes do the same, because the Evaluator
looks the pushed model up itself.

Each run is a whole process with its imports; CPU seconds are those of its tree of processes. The
sides run in turn, in ROUNDS rounds, and their medians are compared: below 1 is faster than stock.
Cases: `cold` is the first run of a root, `cached` the same again with nothing changed, `one-step`
again after the user's functions were edited (its last line), so that Transform, Trainer, Evaluator
and Pusher have to run; stock takes a module file as a whole too.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
CASES = ("cold", "cached", "one-step")
SIDES = ("ours", "stock")
_DATA = ROOT / "data" / "taxi" / "span-3" / "data.csv"
_PIPELINE = """
from pathlib import Path
from pipelines.pipeline import Pipeline

HPARAMS = {"units": 32, "learning_rate": 0.005, "epochs": 8, "batch_size": 128}
THRESHOLDS = {"auc": {"min": 0.85}, "accuracy": {"min": 0.8, "max_drop": 0.02}}

def pipeline(root=None):
    return (
        Pipeline("taxi", root=root)
        .from_csv(Path(__file__).parent.parent / "data" / "span-{SPAN}")
        .generate_statistics().infer_schema().validate_examples(on_anomaly="warn")
        .preprocess("user_code.taxi.preprocessing_fn")
        .train("user_code.taxi.run_fn", label="tipped", hparams=HPARAMS)
        .evaluate(["accuracy", "auc"], THRESHOLDS, slices=["trip_start_hour", "company"])
        .push_to().cache()
    )
"""


def main() -> None:
    arguments = _parse_arguments()
    print("\n".join(CASES) if arguments.list else json.dumps(run_case(arguments.case)))


def run_case(case: str) -> dict[str, Any]:
    """The figures of one case."""
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        _make(folder)
        if case != "cold":
            for side in SIDES:
                _run(side, folder)
        for number in range(ROUNDS):
            for side in SIDES:
                _prepare(case, side, folder, number)
                runs[side].append(_run(side, folder))
                _check(case, side, folder)
                print(side, runs[side][-1], file=sys.stderr)
    return _summary(case, runs)


def _summary(case: str, runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    ours, stock = ({key: _median(runs[side], key) for key in ("cpu_s", "wall_s")} for side in SIDES)
    return {
        "case": case,
        **ours,
        "stock_cpu_s": stock["cpu_s"],
        "stock_wall_s": stock["wall_s"],
        "ratio_to_stock": round(ours["cpu_s"] / stock["cpu_s"], 3),
        "wall_ratio_to_stock": round(ours["wall_s"] / stock["wall_s"], 3),
    }


def _median(runs: list[dict[str, float]], key: str) -> float:
    return round(statistics.median(run[key] for run in runs), 2)


def _make(folder: Path) -> None:
    """Rows, and for each side its own copy of the user's functions."""
    span = folder / "data" / "span-3"
    span.mkdir(parents=True)
    header, rows = _DATA.read_text().split("\n", 1)
    # Stock CsvExampleGen takes quotes in a header for a part of the names.
    (span / "data.csv").write_text(header.replace('"', "") + "\n" + rows)
    (folder / "ours" / "user_code").mkdir(parents=True)
    (folder / "ours" / "user_code" / "__init__.py").touch()
    shutil.copy(ROOT / "user_code" / "taxi.py", folder / "ours" / "user_code")
    (folder / "ours" / "pipeline.py").write_text(_PIPELINE)
    (folder / "stock").mkdir()
    shutil.copy(Path(__file__).with_name("_taxi_stock_functions.py"), _functions("stock", folder))


def _functions(side: str, folder: Path) -> Path:
    return folder / side / ("user_code/taxi.py" if side == "ours" else "taxi_functions.py")


def _prepare(case: str, side: str, folder: Path, number: int) -> None:
    if case == "cold":
        shutil.rmtree(folder / side / "root", ignore_errors=True)
    elif case == "one-step":
        with _functions(side, folder).open("a") as file:
            file.write(f"\nEDIT = {number}\n")


def _run(side: str, folder: Path) -> dict[str, float]:
    """One run in a process of its own, in a folder that holds no code."""
    root = str(folder / side / "root")
    command = {
        "ours": ["pipelines.cli", "run", str(folder / "ours"), "--root", root],
        "stock": ["benchmarks._taxi_stock", str(folder / "data"), root,
                  str(_functions("stock", folder))],
    }[side]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.perf_counter()
    with (folder / f"{side}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=log, stderr=log
        )
        _, status, used = os.wait4(process.pid, 0)  # with all children that it waited for
    if status:
        raise SystemExit(f"{side} failed:\n{(folder / f'{side}.log').read_text()[-4000:]}")
    return {
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        "wall_s": round(time.perf_counter() - started, 3),
    }


def _check(case: str, side: str, folder: Path) -> None:
    """The run did what its case says: it trained, or it took everything from the cache."""
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / side / "root" / "metadata.db")
    store = MetadataStore(config)
    newest = max(store.get_contexts_by_type("pipeline_run"), key=lambda c: c.id)
    states = {
        store.get_execution_types_by_id([e.type_id])[0].name.rpartition(".")[2]: e.last_known_state
        for e in store.get_executions_by_context(newest.id)
    }
    trained = states["Trainer"] == metadata_store_pb2.Execution.COMPLETE
    ingested = states["ExampleGen" if side == "ours" else "CsvExampleGen"]
    cached = ingested == metadata_store_pb2.Execution.CACHED
    pushed = any((folder / side / "root" / "pushed").iterdir())
    if (trained, cached, pushed) != (case != "cached", case != "cold", True):
        raise SystemExit(f"{case}: {side} trained {trained}, cached {cached}, pushed {pushed}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, help="case to measure")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    arguments = parser.parse_args()
    if not (arguments.case or arguments.list):
        parser.error("give --case or --list")
    return arguments


if __name__ == "__main__":
    main()
