"""Measures entity training against the limit, Beam's own example and joblib.

    python benchmarks/entity_training.py --list
    python benchmarks/entity_training.py --case 320k-1000

The last line is one JSON object; ratios are of wall seconds, below 1 is faster than the peer. Each
side is a process of its own with warm imports and, where it has one, a warm pool; the sides run in
turn, and the medians of their runs are compared. All train the model of `user_code.census`.

limit      sum of the CPU seconds of train_fn over all entities and the fallback model, one after
           the other in a quiet process / cores; rows, frames, saving and all else are free.
reference  the design of apache_beam/examples/per_entity_training.py with typed columns, which also
           drops rows with '?' as it means to: CSV lines, GroupByKey, one pickle an entity.
joblib     Parquet, pandas groupby, one pickle an entity out of joblib.Parallel.
ours       the Examples artifact, TFXIO, TrainEntities: with fallback model, index and hashes.

`limit_of_peers` leaves the fallback's fit out, which the two peers do not make.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent

REPEATS = 5
SIDES = ("ours", "joblib", "reference", "limit")
CASES = {"320k-1000": (320_000, 1_000), "320k-10000": (320_000, 10_000)}
"""Case: rows, entities."""
TRAIN_FN = "user_code.census.train_fn"
CORES = len(psutil.Process().cpu_affinity())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, default="320k-1000")
    parser.add_argument("--list", action="store_true", help="print the cases")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(CASES))
    elif arguments.side:
        _serve(arguments.side, Path(arguments.folder))
    else:
        print(json.dumps(run_case(arguments.case)))


def run_case(case: str) -> dict[str, Any]:
    """Returns the figures of one case."""
    rows, entities = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        _make_input(Path(folder), rows, entities)
        sides = {name: Side(name, folder) for name in SIDES}
        first = {name: side.run() for name, side in sides.items()}
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
        for _ in range(REPEATS):
            for name, side in sides.items():
                runs[name].append(side.run())
                print(name, runs[name][-1], file=sys.stderr)
        peaks = {name: sides[name].peak_mb() for name in ("ours", "joblib", "reference")}
        for side in sides.values():
            side.close()
    return _summary(case, first, runs, peaks)


def _summary(
    case: str,
    first: dict[str, dict[str, float]],
    runs: dict[str, list[dict[str, float]]],
    peaks: dict[str, float],
) -> dict[str, Any]:
    def median(side: str, key: str) -> float:
        return statistics.median(run[key] for run in runs[side])

    ours, limit = median("ours", "wall_s"), median("limit", "fit_cpu_s") / CORES
    limit_of_peers = median("limit", "entities_cpu_s") / CORES
    return {
        "case": case,
        "ratio_to_limit": round(ours / limit, 3),
        "ratio_to_reference": round(ours / median("reference", "wall_s"), 3),
        "ratio_to_joblib": round(ours / median("joblib", "wall_s"), 3),
        "cpu_s": round(median("ours", "cpu_s"), 3),
        "wall_s": round(ours, 3),
        "peak_mb": peaks["ours"],
        "cold_wall_s": round(first["ours"]["wall_s"], 3),
        "limit_s": round(limit, 3),
        "joblib_ratio_to_limit": round(median("joblib", "wall_s") / limit_of_peers, 3),
        "reference_ratio_to_limit": round(median("reference", "wall_s") / limit_of_peers, 3),
        "peer_peak_mb": {name: peak for name, peak in peaks.items() if name != "ours"},
        "cores": CORES,
    }


class Side:
    """A process that prepares one side and then runs it whenever it is told to."""

    def __init__(self, name: str, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--side", name, "--folder", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def run(self) -> dict[str, float]:
        """Wall seconds, and CPU seconds of the side with all its processes."""
        before = self._cpu_s()
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        figures = self._read()
        return {"cpu_s": self._cpu_s() - before, **figures}

    def peak_mb(self) -> float:
        """Largest sum of the proportional set sizes of all its processes in one more run."""
        peak, done = 0.0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.1):
                peak = max(peak, sum(_pss(process) for process in self._family()))

        watcher = threading.Thread(target=watch)
        watcher.start()
        self.run()
        done.set()
        watcher.join()
        return round(peak / 2**20, 1)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, float]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")

    def _family(self) -> list[psutil.Process]:
        side = psutil.Process(self._process.pid)
        return [side, *side.children(recursive=True)]

    def _cpu_s(self) -> float:
        # Of children that have ended their parent knows.
        return sum(sum(process.cpu_times()[:4]) for process in self._family())


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _make_input(folder: Path, rows: int, entities: int) -> None:
    """Rows in the columns of Adult with `entities` educations; as Examples and as CSV."""
    import numpy as np
    import pyarrow as pa

    from components.example_gen.files import find_files
    from components.example_gen.ingest import ingest
    from components.example_gen.source import CsvSource, HashSplit, IngestConfig

    location = util.spec_from_file_location("make_census", ROOT / "data" / "make_census.py")
    assert location is not None and location.loader is not None
    make_census = util.module_from_spec(location)
    location.loader.exec_module(make_census)
    rng = np.random.default_rng(7)
    table = make_census.make_rows(rows, rng, make_census.education_shares("adult"))
    keys = pa.array([f"e{number:05d}" for number in rng.integers(0, entities, rows)])
    table = table.set_column(table.schema.get_field_index("education"), "education", keys)
    (folder / "rows").mkdir()
    (folder / "rows" / "rows.csv").write_bytes(make_census.to_adult_text(table))
    from user_code.census import COLUMNS

    source = CsvSource((str(folder / "rows"),), columns=COLUMNS)
    config = IngestConfig(source, HashSplit((("train", 1),)), clean="user_code.census.clean_fn")
    ingest(config, find_files(config), str(folder / "examples"))


def _serve(name: str, folder: Path) -> None:
    work = {"ours": _ours, "joblib": _joblib, "reference": _reference, "limit": _limit}[name](
        folder
    )
    gc.freeze()  # every side: what is imported is no garbage to look through
    print("{}", flush=True)
    for number, _ in enumerate(sys.stdin):
        started = time.perf_counter()
        figures = work(folder / f"{name}-{number}")
        print(json.dumps({"wall_s": time.perf_counter() - started, **figures}), flush=True)


Work = Callable[[Path], dict[str, float]]


def _ours(folder: Path) -> Work:
    import apache_beam as beam

    from components.entity_trainer.train import TrainEntities, shards_for
    from components.examples.read import ExamplesSplit, ReadExamples

    config, columns = _training(folder)

    def work(out: Path) -> dict[str, float]:
        source = ExamplesSplit(str(folder / "examples"), "train")
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            _ = (
                pipeline
                | ReadExamples(source)
                | TrainEntities(str(out), config, columns, shards_for(0))
            )
        return {}

    import tfx.components.util.tfxio_utils  # noqa: F401 - its import is not measured

    return work


def _training(folder: Path) -> tuple[Any, Any]:
    from tensorflow_metadata.proto.v0 import schema_pb2

    from components.entity_trainer.columns import TrainingColumns
    from components.entity_trainer.config import TrainConfig
    from user_code.census import HPARAMS

    config = TrainConfig(TRAIN_FN, ("education",), "income", hparams=HPARAMS, min_rows=1)
    schema = schema_pb2.Schema()
    for field in _read(folder).schema:
        schema.feature.add(name=field.name, type=1 if str(field.type) == "string" else 2)
    return config, TrainingColumns.of_schema(schema, config)


def _read(folder: Path) -> Any:
    import pyarrow as pa

    from components.examples.read import ExamplesSplit, read_batches

    return pa.Table.from_batches(read_batches(ExamplesSplit(str(folder / "examples"), "train")))


def _joblib(folder: Path) -> Work:
    import pickle

    from joblib import Parallel, delayed

    def work(out: Path) -> dict[str, float]:
        frame = _read(folder).to_pandas().dropna()
        groups = frame.groupby("education")
        models = Parallel(n_jobs=CORES)(delayed(_fit_frame)(key, rows) for key, rows in groups)
        with out.open("wb") as file:
            for model in models:
                pickle.dump(model, file)
        return {"models": len(models)}

    return work


def _fit_frame(key: str, rows: Any) -> Any:
    from components.entity_trainer.examples import EntityExamples
    from user_code.census import HPARAMS, train_fn

    features = rows.drop(columns=["education", "income"])
    return train_fn(EntityExamples(key, features, rows["income"]), HPARAMS)


def _reference(folder: Path) -> Work:
    import pickle

    import apache_beam as beam
    import pandas as pd
    from apache_beam.io import fileio

    from user_code.census import COLUMNS

    class Sink(fileio.FileSink):
        def open(self, file: Any) -> None:
            self._file = file

        def write(self, model: Any) -> None:
            self._file.write(pickle.dumps(model))

        def flush(self) -> None:
            self._file.flush()

    def typed(line: str) -> list[Any]:
        return [int(w) if w.isdigit() else w for w in map(str.strip, line.split(","))]

    def fit(group: tuple[str, Any]) -> Any:
        key, rows = group
        return key, _fit_frame(key, pd.DataFrame(rows, columns=list(COLUMNS)))

    def work(out: Path) -> dict[str, float]:
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            _ = (
                pipeline
                | beam.io.ReadFromText(str(folder / "rows" / "rows.csv"))
                | "Type" >> beam.Map(typed)
                | "Filter" >> beam.Filter(lambda row: len(row) == 15 and "?" not in row)
                | "Key" >> beam.Map(lambda row: (row[3], row))
                | beam.GroupByKey()
                | "Train" >> beam.Map(fit)
                | "Save" >> fileio.WriteToFiles(path=str(out), sink=lambda _: Sink())
            )
        return {}

    return work


def _limit(folder: Path) -> Work:
    from threadpoolctl import threadpool_limits

    from user_code.census import HPARAMS, train_fn

    threadpool_limits(1)
    fallback, *entities = _examples(folder)

    def cpu_s(examples: Any) -> float:
        started = time.process_time()
        train_fn(examples, HPARAMS)
        return time.process_time() - started

    def work(out: Path) -> dict[str, float]:
        of_entities = sum(cpu_s(examples) for examples in entities)
        return {"fit_cpu_s": of_entities + cpu_s(fallback), "entities_cpu_s": of_entities}

    return work


def _examples(folder: Path) -> Iterator[Any]:
    """What train_fn gets: of the fallback, then of each entity."""
    from components.entity_trainer.examples import EntityExamples

    config, _ = _training(folder)
    frame = _read(folder).to_pandas().dropna()
    sample = frame.sample(min(len(frame), config.max_fallback_rows), random_state=0)
    for key, rows in (("", sample), *frame.groupby("education")):
        features = rows.drop(columns=["education", "income"]).reset_index(drop=True)
        yield EntityExamples(key, features, rows["income"].reset_index(drop=True))


if __name__ == "__main__":
    main()
