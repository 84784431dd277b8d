"""Small worlds to evaluate in: models that read their prediction from a column."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.evaluate import EvaluationResult, EvaluationTask, evaluate
from components.entity_models.codecs import encode
from components.entity_models.custom import CustomModel
from components.entity_models.spec import ModelSpec
from components.entity_models.store import IndexEntry, ShardWriter, commit
from components.examples.read import ExamplesSplit

FEATURES = tuple((name, "double") for name in ("new", "old", "fallback"))
CLASSES = ("<=50K", ">50K")
SPEC = ModelSpec(("education",), "income", "classification", FEATURES, CLASSES)
REGRESSION = ModelSpec(("education",), "income", "regression", FEATURES)


class Reads(CustomModel):
    """Its prediction (probability of the last class, or value) is the number in a column."""

    def __init__(self, column: str) -> None:
        self.column = column

    def save(self) -> bytes:
        return self.column.encode()

    @classmethod
    def load(cls, payload: bytes) -> "Reads":
        return cls(payload.decode())

    def _values(self, features: pd.DataFrame) -> Any:
        values = features[self.column].to_numpy()
        if np.isnan(values).any():
            raise ValueError("not a number")
        return values


class ReadsClass(Reads):
    classes_ = np.array(CLASSES)

    def predict(self, features: pd.DataFrame) -> Any:
        return self.classes_[(self._values(features) > 0.5).astype(int)]

    def predict_proba(self, features: pd.DataFrame) -> Any:
        positive = self._values(features)
        return np.column_stack([1 - positive, positive])


class ReadsNumber(Reads):
    def predict(self, features: pd.DataFrame) -> Any:
        return self._values(features)


def store(
    folder: Path,
    columns: Mapping[str, str | None],
    fallback: str | None = "fallback",
    spec: ModelSpec = SPEC,
) -> str:
    """A store whose entities read the named columns; None: too few rows for an own model."""
    kind = ReadsNumber if spec.task == "regression" else ReadsClass
    writer = ShardWriter(str(folder), 0, 1)
    for entity, column in columns.items():
        framework, payload = encode(kind(column)) if column else ("", b"")
        status, reason = ("trained", "") if column else ("small", "3 rows")
        entry = IndexEntry(
            kind="entity",
            entity=entity,
            status=status,
            rows=10,
            framework=framework,
            reason=reason,
        )
        writer.add(entry, payload)
    if fallback:
        framework, payload = encode(kind(fallback))
        entry = IndexEntry(
            kind="fallback", entity="", status="trained", rows=10, framework=framework
        )
        writer.add(entry, payload)
    commit(str(folder), spec, writer.close(), {})
    return str(folder)


def examples(folder: Path, table: pa.Table) -> ExamplesSplit:
    """Writes a table as the split `eval`, with list columns as Examples have them."""
    target = folder / "Split-eval"
    target.mkdir(parents=True)
    lists = []
    for column in table.columns:
        values = column.combine_chunks() if column.num_chunks else pa.array([], column.type)
        valid = values.is_valid().to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(valid)])
        starts = pa.array(offsets, pa.int32(), mask=np.append(~valid, False))
        lists.append(pa.ListArray.from_arrays(starts, values.drop_null()))
    out = pa.table(lists, names=table.schema.names)
    pq.write_table(out, target / "data-00000-of-00001.parquet", compression="zstd")
    return ExamplesSplit(str(folder), "eval")


def right(labels: np.ndarray, wrong_share: float, seed: int) -> np.ndarray:
    """Probabilities of the last class that are right but for a share of the rows."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(labels)) < wrong_share
    positive = (labels == CLASSES[1]) ^ wrong
    return np.where(positive, 0.9, 0.1)


def census(
    rows: Mapping[str, int], wrong: Mapping[str, float], seed: int = 0, **columns: Any
) -> pa.Table:
    """Rows of entities, and for each model column the share of wrong predictions in it."""
    random = np.random.default_rng(seed)
    entity = np.repeat(list(rows), list(rows.values()))
    label = np.array(CLASSES)[(random.random(len(entity)) < 0.4).astype(int)]
    models = {c: right(label, share, seed + 1 + i) for i, (c, share) in enumerate(wrong.items())}
    sex = np.where(random.random(len(entity)) < 0.5, "Female", "Male")
    return pa.table(
        {"education": pa.array(entity, pa.string()), "income": label, "sex": sex} | models | columns
    )


def run(
    folder: Path,
    table: pa.Table,
    candidate: str,
    pushed: str | None = None,
    **config: Any,
) -> tuple[EvaluationResult, dict[str, dict[str, Any]], Path]:
    """Evaluates; gives the result, the entity table by entity, and the folder of outputs."""
    task = EvaluationTask(
        examples=examples(folder / "examples", table),
        candidate_uri=candidate,
        pushed_uri=pushed,
        evaluation_uri=str(folder / "evaluation"),
        composed_uri=str(folder / "composed"),
        expected_rows=table.num_rows,
    )
    result = evaluate(task, EvaluationConfig.from_dict(config), pipeline)
    rows = pq.read_table(folder / "evaluation" / "entities.parquet").to_pylist()
    return result, {row["entity"]: row for row in rows}, folder


def pipeline() -> beam.Pipeline:
    return beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
