"""One contract for all components: an input is worked on with its rows accounted for, or refused
with an error that says what is wrong. Scenarios are columns; components are the work modules.
"""

import json
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
from apache_beam.ml.inference.base import ModelHandler
from PIL import Image
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from tensorflow_metadata.proto.v0 import schema_pb2

from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.infer import ServedModel, infer
from components.caption_evaluator.config import CaptionEvaluationConfig
from components.caption_evaluator.evaluate import CaptionEvaluationTask
from components.caption_evaluator.evaluate import evaluate as evaluate_captions
from components.ensemble.bundle import Bundle, write_bundle
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from components.ensemble.weights import ModelSource
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
from components.image_example_gen.config import ImageSource
from components.image_example_gen.ingest import ingest_images
from components.image_example_gen.plan import plan_images
from components.images.examples import read_image_rows
from components.infra_validator.probe import probe
from components.infra_validator.report import Gates
from components.pusher.versions import PushedVersions
from components.statistics_gen.compute import compute_statistics
from tests.components.caption_evaluator.results import CAPTIONS, image, ranked, write_result
from tests.components.ensemble.handlers import COLLECTED, Words, collect

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


class LastSold(ModelHandler[str, str, Words]):
    """Looks a shop up in the rows that are its weights."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def load_model(self) -> Words:
        columns = json.loads(Path(self.folder, "rows.json").read_text())
        return dict(zip(columns["shop"], columns["sold"], strict=True))

    def run_inference(self, batch: Any, model: Words, inference_args: Any = None) -> list[str]:
        if None in batch:
            raise ValueError("no shop")
        return [model[shop] for shop in batch]


def ensemble_fn(models: Mapping[str, str], hparams: Mapping[str, Any]) -> Ensemble:
    return Ensemble(Stage("last", LastSold(models["rows"]), inputs="shop"))


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


def check_image_example_gen(world: World) -> None:
    """The rows of the scenario are what is known of so many images."""
    folder = world.folder / "images"
    folder.mkdir()
    shops = world.columns["shop"]
    for number in range(world.rows):
        Image.new("RGB", (8, 6), (number % 256, 0, 0)).save(folder / f"{number}.png")
    names = [str(folder / f"{number}.png") for number in range(world.rows)]
    columns = {name: values for name, values in world.columns.items() if name != "shop"}
    known = {"file": names, "caption": shops, **columns}
    pa.csv.write_csv(pa.table({n: pa.array(v) for n, v in known.items()}), folder / "captions.csv")
    source = ImageSource((str(folder),))
    uri = str(world.folder / "examples")
    counts = ingest_images(make_pipeline_, plan_images(source), source, uri)
    assert counts.rows_in == world.rows == counts.rows + counts.rows_rejected
    rows_read = [row for batch in read_image_rows(ExamplesSplit(uri, "images")) for row in batch]
    found = {row.key: row.values for row in rows_read if row.failure is None}
    assert len(rows_read) == len(found) == counts.rows
    for number, name in enumerate(names):
        assert found[name]["image"][0, 0].tolist() == [number % 256, 0, 0]
        assert found[name]["reference"] == (shops[number] and shops[number].strip())
        for column, values in columns.items():
            assert found[name].get(column) == values[number]


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


def check_ensemble_importer(world: World) -> None:
    (world.folder / "rows").mkdir()
    (world.folder / "rows" / "rows.json").write_text(json.dumps(world.columns))
    uri = str(world.folder / "bundle")
    source = ModelSource.parse(str(world.folder / "rows")).pinned()
    write_bundle(uri, f"{__name__}.ensemble_fn", {"rows": source}, {})
    given = [
        Record(str(row), {name: values[row] for name, values in world.columns.items()})
        for row in range(world.rows)
    ]
    COLLECTED.clear()
    with make_pipeline_() as pipeline:
        results = pipeline | beam.Create(given) | RunEnsemble(Bundle(uri).ensemble())
        _ = results | "Collect" >> beam.Map(collect)
    assert sorted(r.key for r in COLLECTED) == sorted(r.key for r in given)
    dead = [r for r in COLLECTED if r.failure]
    assert len(dead) == world.columns["shop"].count(None)
    assert all(r.values["last"] in ("yes", "no") for r in COLLECTED if not r.failure)


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


def check_caption_evaluator(world: World) -> None:
    """Shops are images, sold is the reference, and size the probability of the only caption."""
    names, columns = list(world.columns), world.columns.values()
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    sizes = [{"probability": row["size"]} if "size" in row else {} for row in rows]
    images = [
        image(row["shop"], [{**ranked("yes")[0], **size}], row["sold"], kind=row["kind"])
        for row, size in zip(rows, sizes, strict=True)
    ]
    kind = pa.string() if "big" in world.columns.get("size", ())[:1] else pa.float64()
    fields = [f.with_type(kind) if f.name == "probability" else f for f in CAPTIONS.value_type]
    if "size" not in world.columns:
        fields = [field for field in fields if field.name != "probability"]
    uri = write_result(world.folder / "result", images, captions=pa.list_(pa.struct(fields)))
    task = CaptionEvaluationTask(uri, str(world.folder / "evaluation"))
    evaluation = evaluate_captions(task, CaptionEvaluationConfig(slices=(("kind",),)))
    counts = evaluation.counts
    assert counts["rows_in"] == world.rows == counts["rows_evaluated"] + counts["rows_failed"]
    slices = pq.read_table(world.folder / "evaluation" / "slices.parquet").slice(1)
    assert sum(slices["rows_in"].to_pylist()) == world.rows
    if not counts["rows_evaluated"]:
        assert not evaluation.blessed, "nothing was evaluated, so nothing may be pushed"


def preprocessing_fn(inputs: Mapping[str, Any]) -> dict[str, Any]:
    import tensorflow as tf
    import tensorflow_transform as tft

    def dense(name: str, empty: Any) -> Any:
        column = inputs[name]
        shape = [column.dense_shape[0], 1]
        return tf.sparse.to_dense(tf.SparseTensor(column.indices, column.values, shape), empty)[
            :, 0
        ]

    return {
        "size": tft.scale_to_z_score(dense("size", 0.0)),
        "shop": tft.compute_and_apply_vocabulary(dense("shop", ""), num_oov_buckets=1),
        "sold": tf.cast(dense("sold", "") == "yes", tf.int64),
    }


def check_transform(world: World) -> None:
    from components.transform.transform import TransformTask, transform

    schema = schema_pb2.Schema()
    for name, kind in TYPES.items():
        schema.feature.add(name=name, type=1 if kind == pa.string() else 3)
    graph, out = str(world.folder / "graph"), str(world.folder / "out")
    function = f"{__name__}.preprocessing_fn"
    transform(
        TransformTask((world.examples,), "eval", function, graph, out), schema, make_pipeline_
    )
    read = ReadExamples(ExamplesSplit(out, "eval", "FORMAT_TF_EXAMPLE"))
    COLLECTED.clear()
    with make_pipeline_() as pipeline:
        rows = pipeline | read | beam.Map(lambda batch: Record("rows", {"rows": batch.num_rows}))
        _ = rows | beam.Map(collect)
    assert sum(record.values["rows"] for record in COLLECTED) == world.rows


def check_evaluator(world: World) -> None:
    from components.evaluator.evaluate import EvaluationTask, evaluate
    from components.saved_model.write import describe
    from tests.components.saved_model.models import OfColumn, save

    uri = save(world.folder / "model", OfColumn("size"))
    describe(uri, "sold", "classification", ["no", "yes"])
    task = EvaluationTask(world.examples, {"": uri}, None, None, str(world.folder / "evaluation"))
    config = EvaluationConfig.from_dict({"slices": [["kind"]]})
    result = evaluate(task, config, make_pipeline_).result
    counts = result.counts
    assert counts["rows_in"] == world.rows
    assert counts["rows_evaluated"] + counts["rows_missing_label"] == world.rows
    slices = pq.read_table(world.folder / "evaluation" / "slices.parquet").slice(1)
    assert sum(slices["rows"].to_pylist()) == counts["rows_evaluated"]
    if not counts["rows_evaluated"]:
        assert not result.blessed, "nothing was evaluated, so nothing may be pushed"


COMPONENTS: dict[str, Callable[[World], None]] = {
    "ExampleGen": check_example_gen,
    "ImageExampleGen": check_image_example_gen,
    "StatisticsGen": check_statistics_gen,
    "Transform": check_transform,
    "Evaluator": check_evaluator,
    "EntityTrainer": check_entity_trainer,
    "EntityEvaluator": check_entity_evaluator,
    "Pusher": check_pusher,
    "EnsembleImporter": check_ensemble_importer,
    "BulkInferrer": check_bulk_inferrer,
    "InfraValidator": check_infra_validator,
    "CaptionEvaluator": check_caption_evaluator,
}

REFUSED = {
    ("ExampleGen", "empty"): "no row",
    ("ImageExampleGen", "empty"): "there are no images at",
    ("EntityTrainer", "empty"): "no rows to train on",
    ("EntityTrainer", "missing column"): "column 'size'",
    ("EntityTrainer", "wrong type"): "column 'size'",
    ("EntityTrainer", "all null"): "no usable row among 200.*200 with a missing feature",
    ("EntityTrainer", "no key"): "no usable row among 200.*200 without entity",
    ("EntityEvaluator", "missing column"): "size",
    ("EntityEvaluator", "wrong type"): "size",
    ("Transform", "empty"): "no row",
    ("Transform", "missing column"): "lack the column 'size'",
    ("Transform", "wrong type"): "column 'size' is string",
    ("Evaluator", "missing column"): "size",
    ("Evaluator", "wrong type"): "size",
    ("BulkInferrer", "missing column"): "size",
    ("BulkInferrer", "wrong type"): "size",
    ("InfraValidator", "empty"): "no example|no row|empty",
    ("InfraValidator", "missing column"): "size",
    ("InfraValidator", "no key"): "no rows with shop",
    ("CaptionEvaluator", "missing column"): "captions need the field 'probability'.*missing",
    ("CaptionEvaluator", "wrong type"): "captions need the field 'probability'.*string",
    ("CaptionEvaluator", "no key"): "200 rows have no image_uri",
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


@pytest.mark.parametrize(
    "component", ["EntityTrainer", "EntityEvaluator", "BulkInferrer", "CaptionEvaluator"]
)
def test_ten_thousand_entities(component: str, tmp_path: Path, good_store: str) -> None:
    shops = tuple(f"shop {i}" for i in range(10_000))
    COMPONENTS[component](World(tmp_path, rows(10_000, shops), good_store))
