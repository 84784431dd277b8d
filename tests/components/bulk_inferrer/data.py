"""Small examples and models for bulk inference."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from components.entity_models.codecs import encode
from components.entity_models.custom import CustomModel
from components.entity_models.spec import ModelSpec
from components.entity_models.store import IndexEntry, ShardWriter, commit
from components.examples.read import ExamplesSplit

FEATURES = (("age", "double"), ("sex", "string"))
SPEC = ModelSpec(("education",), "income", "classification", FEATURES, ("<=50K", ">50K"))
POISON = 666.0


class ByAge(CustomModel):
    """Above its age the income is high; the poisoned age breaks it, and it says the sex."""

    classes_ = np.array(["<=50K", ">50K"])

    def __init__(self, age: float) -> None:
        self.age = age

    def predict(self, features: pd.DataFrame) -> Any:
        bad = features[features["age"] == POISON]
        if len(bad):
            raise ValueError(f"age {bad['age'].iloc[0]} of a {bad['sex'].iloc[0]}")
        return self.classes_[(features["age"] > self.age).to_numpy().astype(int)]

    def predict_proba(self, features: pd.DataFrame) -> Any:
        high = np.where(features["age"] > self.age, 0.75, 0.25)
        return np.column_stack([1 - high, high])

    def save(self) -> bytes:
        return str(self.age).encode()

    @classmethod
    def load(cls, payload: bytes) -> "ByAge":
        return cls(float(payload))


def make_models(folder: Path, entities: Iterable[str], spec: ModelSpec = SPEC) -> str:
    """The i-th entity's border is age i, the fallback's 40."""
    writer = ShardWriter(str(folder), 0, 1)
    for border, entity in [*enumerate(entities), (40, "")]:
        framework, payload = encode(ByAge(border))
        kind = "entity" if entity else "fallback"
        entry = IndexEntry(kind=kind, entity=entity, status="trained", rows=1, framework=framework)
        writer.add(entry, payload)
    commit(str(folder), spec, writer.close(), {})
    return str(folder)


def rows(
    education: list[str | None], age: list[float | None], sex: list[str] | None = None
) -> pa.Table:
    """Unlabelled rows with an `id`."""
    words = pa.array(sex or ["F"] * len(age), pa.string())
    ids = pa.array([f"id-{i}" for i in range(len(age))], pa.string())
    return pa.table(
        {
            "education": pa.array(education, pa.string()),
            "age": pa.array(age, pa.float64()),
            "sex": words,
            "id": ids,
        }
    )


def make_examples(folder: Path, table: pa.Table, files: int = 1) -> ExamplesSplit:
    """Writes an Examples artifact's split `unlabelled`: list columns in `files` files."""
    split = ExamplesSplit(str(folder), "unlabelled")
    target = folder / "Split-unlabelled"
    target.mkdir(parents=True)
    size = -(-table.num_rows // files) or 1
    for i in range(files):
        piece = table.slice(i * size, size)
        pq.write_table(as_lists(piece), target / f"data-{i:05d}-of-{files:05d}.parquet")
    return split


def as_lists(table: pa.Table) -> pa.Table:
    columns = {}
    for name in table.schema.names:
        values = table.column(name)
        kind = pa.list_(values.type)
        columns[name] = pa.array([None if v is None else [v] for v in values.to_pylist()], kind)
    return pa.table(columns)


def make_pipeline() -> beam.Pipeline:
    return beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
