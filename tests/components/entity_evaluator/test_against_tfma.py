"""Our vectorised metrics equal TFMA's on the same rows."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.entity_evaluator.metrics import Groups, measure
from components.entity_evaluator.scores import ScoreColumns, add_scores, keep_scores, read_scores
from components.entity_evaluator.slices import AnalyzeSlices
from components.entity_models.spec import ModelSpec
from tests.components.entity_evaluator.worlds import pipeline

FEATURES = (("age", "double"),)


def _table(spec: ModelSpec, rows: int) -> tuple[pa.Table, pa.Table]:
    """Rows of three entities with tied probabilities, and predictions of them."""
    random = np.random.default_rng(5)
    entity = pa.array(np.array(["a", "b", "c"])[random.integers(0, 3, rows)])
    if spec.task == "regression":
        label = random.normal(size=rows)
        prediction = pa.array(label + random.normal(size=rows))
        probabilities = pa.nulls(rows, pa.list_(pa.float64()))
    else:
        classes = len(spec.classes)
        # One decimal gives ties; half shares of two classes are left out, their class is a matter
        # of taste (TFMA: not positive).
        weights = random.integers(1, 8, (rows, classes)).astype(float)
        weights[:, 0] += 0.5
        vectors = weights / weights.sum(axis=1, keepdims=True)
        vectors[:40] = np.eye(classes)[0]  # as sure as a tree
        label = np.array(spec.classes)[
            (random.random((rows, 1)) * 0.999 > vectors.cumsum(axis=1)).sum(axis=1)
        ]
        prediction = pa.array(np.array(spec.classes)[vectors.argmax(axis=1)])
        probabilities = pa.array(list(vectors))
    predictions = pa.table(
        {
            "entity": entity,
            "prediction": prediction,
            "probabilities": probabilities,
            "fallback": pa.array([False] * rows),
            "error": pa.nulls(rows, pa.string()),
        }
    )
    return pa.table({"education": entity, "income": label}), predictions


def _both(tmp_path: Path, spec: ModelSpec, metrics: list[str]) -> tuple[dict[str, Any], Any]:
    """Values by slice of ours ("" is overall) and of TFMA."""
    import tensorflow_model_analysis as tfma

    columns = ScoreColumns(spec, ("composed",), ("education",), probabilities=True)
    scored = keep_scores(add_scores(_table(spec, 1200), columns, "composed"), columns)
    (tmp_path / "scores").mkdir()
    pq.write_table(scored, tmp_path / "scores" / "0.parquet")
    with pipeline() as p:
        tables = p | beam.Create([scored.slice(0, 700), scored.slice(700)])
        _ = tables | AnalyzeSlices(str(tmp_path / "tfma"), columns, "composed", [["education"]])
    theirs = {}
    for key, values in tfma.load_eval_result(str(tmp_path / "tfma")).slicing_metrics:
        found = {}
        for name, value in values[""][""].items():
            found[name] = value.get("doubleValue")
            if matrices := value.get("multiClassConfusionMatrixAtThresholds"):
                found["mean recall of the confusion matrix"] = _mean_recall(matrices)
        theirs[key[0][1] if key else ""] = found
    rows = read_scores(str(tmp_path / "scores"), columns)
    outcomes = rows.outcomes["composed"]
    overall = measure(outcomes, Groups.single(1200), metrics)
    apart = measure(outcomes, rows.groups, metrics)
    ours = {"": {m: overall[m][0] for m in metrics}}
    for number, name in enumerate(rows.entities):
        ours[name] = {m: apart[m][number] for m in metrics}
    return ours, theirs


def _mean_recall(matrices: dict[str, Any]) -> float:
    table = np.zeros((3, 3))
    for entry in matrices["matrices"][0]["entries"]:
        place = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
        table[place] = entry["numWeightedExamples"]
    return float((table.diagonal() / table.sum(axis=1)).mean())


CASES: dict[str, Any] = {
    "two-class": (
        ModelSpec(("education",), "income", "classification", FEATURES, ("<=50K", ">50K")),
        {
            "accuracy": "binary_accuracy",
            "precision": "precision",
            "recall": "recall",
            "f1": "f1_score",
            "log_loss": "binary_crossentropy",
            "auc": "auc",
            "calibration": "calibration",
        },
    ),
    "multi-class": (
        ModelSpec(("education",), "income", "classification", FEATURES, (1, 2, 3)),
        {
            "accuracy": "sparse_categorical_accuracy",
            "log_loss": "sparse_categorical_crossentropy",
            "recall": "mean recall of the confusion matrix",
        },
    ),
    "regression": (
        ModelSpec(("education",), "income", "regression", FEATURES),
        {"mse": "mean_squared_error", "mae": "mean_absolute_error", "calibration": "calibration"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_metrics_equal_tfma(tmp_path: Path, case: str) -> None:
    spec, names = CASES[case]
    ours, theirs = _both(tmp_path, spec, list(names))
    assert set(ours) == set(theirs) == {"", "a", "b", "c"}
    for slice_name, values in ours.items():
        for metric, name in names.items():
            # TFMA interpolates AUC between 10,000 thresholds and sums single-precision floats.
            assert values[metric] == pytest.approx(theirs[slice_name][name], rel=1e-5), (
                slice_name,
                metric,
                theirs[slice_name],
            )
