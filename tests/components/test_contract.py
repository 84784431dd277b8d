"""One contract for all components: an input is worked on with its rows accounted for, or refused
with an error that says what is wrong. Scenarios are columns; components are the work modules.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from tensorflow_metadata.proto.v0 import schema_pb2

from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.infer import ServedModel, infer
from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.evaluate import EvaluationTask, evaluate
from components.entity_models.store import EntityModels
from components.entity_trainer.columns import TrainingColumns
from components.entity_trainer.config import TrainConfig
from components.entity_trainer.train import TrainEntities
from components.errors import BeamfleetError
from components.example_gen.files import find_files
from components.example_gen.ingest import ingest
from components.example_gen.source import CsvSource, HashSplit, IngestConfig
from components.examples.read import ExamplesSplit, ReadExamples, read_batches
from components.infra_validator.probe import probe
from components.infra_validator.report import Gates
from components.pusher.versions import PushedVersions
from components.statistics_gen.compute import compute_statistics

TYPES = {"shop": pa.string(), "size": pa.float64(), "kind": pa.string(), "sold": pa.string()}
STRANGE = ("../../etc/passwd", "a/b\\c", "größe", "💥", "null", " x ", "'; drop table", "k" * 5000)


def rows(count: int, shops: tuple[str, ...] = ("north", "south")) -> dict[str, list[Any]]:
    random = np.random.default_rng(0)
    size = random.normal(size=count)
    return {
        "shop": [shops[i % len(shops)] for i in range(count)],
        "size": size.tolist(),
        "kind": random.choice(["food", "tools"], count).tolist(),
        "sold": ["yes" if s > 0 else "no" for s in size],
    }


def without(columns: Mapping[str, list[Any]], name: str) -> dict[str, list[Any]]:
    return {key: values for key, values in columns.items() if key != name}


SCENARIOS: dict[str, dict[str, list[Any]]] = {
    "good": rows(200),
    "empty": rows(0),
    "missing column": without(rows(200), "size"),
    "wrong type": {**rows(200), "size": ["big"] * 200},
    "all null": {**rows(200), "size": [None] * 200},
    "one row": rows(1),
    "one class": {**rows(200), "sold": ["yes"] * 200},
    "strange keys": rows(200, STRANGE),
    "no key": {**rows(200), "shop": [None] * 200},
}


def train_fn(examples: Any, hparams: Mapping[str, Any]) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore")
    tree = DecisionTreeClassifier(max_depth=2, random_state=0)
    return make_pipeline(encoder, tree).fit(examples.features, examples.label)


def write_examples(folder: Path, columns: Mapping[str, list[Any]], split: str) -> ExamplesSplit:
    """Writes a split as ExampleGen does, whatever is in it."""
    types = {n: TYPES[n] if not isinstance(next(iter(v), None), str) else pa.string()
             for n, v in columns.items()}  # fmt: skip
    table = pa.table({n: pa.array(v, types[n]) for n, v in columns.items()})
    listed = pa.table(
        {
            name: pa.array([None if v is None else [v] for v in column.to_pylist()],
                           pa.list_(column.type))
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )  # fmt: skip
    target = folder / f"Split-{split}"
    target.mkdir(parents=True)
    pq.write_table(listed, target / "data-00000-of-00001.parquet")
    return ExamplesSplit(str(folder), split)


def make_pipeline_() -> beam.Pipeline:
    return beam.Pipeline(runner="FnApiRunner")


@dataclass
class World:
    """What a component finds beside the scenario's rows."""

    folder: Path
    columns: Mapping[str, list[Any]]
    good_store: str

    @property
    def examples(self) -> ExamplesSplit:
        return write_examples(self.folder / "examples", self.columns, "eval")

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))


def train(uri: str, examples: ExamplesSplit) -> EntityModels:
    schema = schema_pb2.Schema()
    for name, kind in TYPES.items():
        schema.feature.add(name=name, type=1 if kind == pa.string() else 3)
    config = TrainConfig(f"{__name__}.train_fn", ("shop",), "sold", min_rows=2)
    with make_pipeline_() as pipeline:
        _ = (
            pipeline
            | ReadExamples(examples)
            | TrainEntities(uri, config, TrainingColumns.of_schema(schema, config), 4, 1)
        )
    return EntityModels(uri)


def check_example_gen(world: World) -> None:
    path = world.folder / "rows.csv"
    pa.csv.write_csv(pa.table({n: pa.array(v) for n, v in world.columns.items()}), path)
    types = tuple((n, "double" if n == "size" else "string") for n in world.columns)
    config = IngestConfig(
        CsvSource((str(path),), types=types), HashSplit((("all", 1),)), max_rejected_share=1.0
    )
    uri = str(world.folder / "ingested")
    counts = ingest(config, find_files(config), uri)
    assert counts.rows_in == world.rows == counts.rows_rejected + counts.splits["all"]
    read = sum(batch.num_rows for batch in read_batches(ExamplesSplit(uri, "all")))
    assert read == counts.splits["all"]


def check_statistics_gen(world: World) -> None:
    [dataset] = compute_statistics(world.examples).datasets
    assert dataset.num_examples == world.rows
    names = {feature.path.step[0] for feature in dataset.features}
    assert names == set(world.columns) or not world.rows


def check_entity_trainer(world: World) -> None:
    models = train(str(world.folder / "store"), world.examples)
    counts = models.counts
    assert counts["rows_in"] == world.rows
    for entity in set(world.columns["shop"]):
        assert models.entry(entity) is not None
        models.model(entity)


def check_entity_evaluator(world: World) -> None:
    folder = world.folder
    task = EvaluationTask(
        world.examples, world.good_store, None, str(folder / "evaluation"), str(folder / "composed")
    )
    (folder / "evaluation").mkdir()
    result = evaluate(task, EvaluationConfig(), make_pipeline_)
    counts = result.counts
    assert counts["rows_in"] == world.rows
    missing = counts["rows_missing_label"] + counts["rows_missing_entity"]
    assert counts["rows_evaluated"] + missing == world.rows
    table = pq.read_table(folder / "evaluation" / "entities.parquet")
    assert sum(table["rows"].to_pylist()) == counts["rows_evaluated"]
    EntityModels(str(folder / "composed"))
    if not counts["rows_evaluated"]:
        assert not result.blessed, "nothing was evaluated, so nothing may be pushed"


def check_pusher(world: World) -> None:
    models = train(str(world.folder / "store"), world.examples)
    version = PushedVersions(str(world.folder / "pushed")).push(models.uri, models.uri, 0, 3)
    assert EntityModels(version.path).fingerprint == models.fingerprint


def check_bulk_inferrer(world: World) -> None:
    summary = infer(
        make_pipeline_,
        [world.examples],
        ServedModel(world.good_store, 1),
        str(world.folder / "results"),
        InferenceConfig(max_failed_share=1.0),
    )
    assert summary.rows_in == world.rows == summary.rows + summary.rows_failed


def check_infra_validator(world: World) -> None:
    report = probe(
        world.good_store, read_batches(world.examples), Gates(requests=5, max_p99_ms=1e5)
    )
    if "big" in world.columns.get("size", ())[:1]:
        # It is the server that refuses these rows, so it is the infrastructure that is not blessed.
        assert "column 'size' is string" in report.reasons[0]
        return
    assert report.blessed, report.reasons
    assert report.requests["sent"] == report.requests["answered"] + report.requests["refused"]


COMPONENTS: dict[str, Callable[[World], None]] = {
    "ExampleGen": check_example_gen,
    "StatisticsGen": check_statistics_gen,
    "EntityTrainer": check_entity_trainer,
    "EntityEvaluator": check_entity_evaluator,
    "Pusher": check_pusher,
    "BulkInferrer": check_bulk_inferrer,
    "InfraValidator": check_infra_validator,
}

REFUSED = {
    ("ExampleGen", "empty"): "no row",
    ("EntityTrainer", "empty"): "no rows to train on",
    ("EntityTrainer", "missing column"): "column 'size'",
    ("EntityTrainer", "wrong type"): "column 'size'",
    ("EntityTrainer", "all null"): "no usable row among 200.*200 with a missing feature",
    ("EntityTrainer", "no key"): "no usable row among 200.*200 without entity",
    ("EntityEvaluator", "missing column"): "size",
    ("EntityEvaluator", "wrong type"): "size",
    ("BulkInferrer", "missing column"): "size",
    ("BulkInferrer", "wrong type"): "size",
    ("InfraValidator", "empty"): "no example|no row|empty",
    ("InfraValidator", "missing column"): "size",
    ("InfraValidator", "no key"): "no rows with shop",
}
"""What a component must say where it cannot work; everywhere else it must work."""
for _scenario in ("empty", "missing column", "wrong type", "all null", "no key"):
    REFUSED["Pusher", _scenario] = REFUSED["EntityTrainer", _scenario]  # there is nothing to push


@pytest.fixture(scope="module")
def good_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("good")
    examples = write_examples(folder / "examples", SCENARIOS["good"], "train")
    return train(str(folder / "store"), examples).uri


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("component", COMPONENTS)
def test_contract(component: str, scenario: str, tmp_path: Path, good_store: str) -> None:
    world = World(tmp_path, SCENARIOS[scenario], good_store)
    expected = REFUSED.get((component, scenario))
    if expected is None:
        COMPONENTS[component](world)
        return
    with pytest.raises(BeamfleetError) as refused:
        COMPONENTS[component](world)
    assert re.search(expected, str(refused.value)), refused.value


@pytest.mark.parametrize("component", ["EntityTrainer", "EntityEvaluator", "BulkInferrer"])
def test_ten_thousand_entities(component: str, tmp_path: Path, good_store: str) -> None:
    shops = tuple(f"shop {i}" for i in range(10_000))
    COMPONENTS[component](World(tmp_path, rows(10_000, shops), good_store))
