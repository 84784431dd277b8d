"""Runs a training on rows given as dictionaries."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2

from components.entity_models.store import EntityModels
from components.entity_trainer.columns import TrainingColumns
from components.entity_trainer.config import TrainConfig
from components.entity_trainer.train import TrainEntities

TYPES = {"city": pa.string(), "age": pa.int64(), "job": pa.string(), "income": pa.string()}
HERE = "tests.components.entity_trainer.functions"


def people(entity: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"city": entity, "age": 20 + n % 40, "job": f"j{n % 3}", "income": ["low", "high"][n % 2]}
        for n in range(start, start + count)
    ]


def table_of(rows: Sequence[dict[str, Any]], types: dict[str, pa.DataType] = TYPES) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=pa.schema(list(types.items())))


def schema_of(types: dict[str, pa.DataType] = TYPES) -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    for name, kind in types.items():
        number = 1 if pa.types.is_string(kind) else 2 if pa.types.is_integer(kind) else 3
        schema.feature.add(name=name, type=number)
    return schema


def config_of(train_fn: str = "constant", **changes: Any) -> TrainConfig:
    settings = {"entity": ("city",), "label": "income", "min_rows": 2} | changes
    return TrainConfig(train_fn=f"{HERE}.{train_fn}", **settings)


def train(
    uri: Any,
    batches: pa.Table | Sequence[pa.RecordBatch],
    config: TrainConfig | None = None,
    schema: schema_pb2.Schema | None = None,
    shards: int = 4,
    workers: int = 2,
) -> EntityModels:
    config = config or config_of()
    columns = TrainingColumns.of_schema(schema or schema_of(), config)
    batches = batches.to_batches() if isinstance(batches, pa.Table) else batches
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(batches)
            | TrainEntities(str(uri), config, columns, shards, workers)
        )
    return EntityModels(str(uri))


def entries(models: EntityModels) -> dict[str, dict[str, Any]]:
    return {row["entity"]: row for row in models.index().to_pylist()}


def seen_by(models: EntityModels, entity: str) -> dict[str, Any]:
    model, is_fallback = models.model(entity)
    assert not is_fallback
    return model.seen


def files_of(folder: Any) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
