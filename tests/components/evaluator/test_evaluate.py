"""The evaluation of models of known formula against each other."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_model_analysis as tfma

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.result import EvaluationResult
from components.errors import BeamfleetError
from components.evaluator.current import CurrentModel
from components.evaluator.evaluate import Evaluation, EvaluationTask, evaluate
from components.examples.read import ExamplesSplit
from components.saved_model.write import describe
from tests.components.saved_model.models import Formula, save

ROWS = 400


def examples(folder: Path, labels: bool = True) -> ExamplesSplit:
    """Miles from -2 to 2; the label is whether they are above 0, but for each tenth row."""
    miles = np.linspace(-2, 2, ROWS)
    label = (miles > 0) ^ (np.arange(ROWS) % 10 == 0)
    columns = {
        "miles": pa.array(miles),
        "hour": pa.array(np.zeros(ROWS, np.int64)),
        "company": pa.array(np.where(np.arange(ROWS) % 2, "B", "C")),
        "tipped": pa.array(label.astype(np.int64), mask=np.arange(ROWS) < (0 if labels else ROWS)),
    }
    target = folder / "examples" / "Split-eval"
    target.mkdir(parents=True)
    pq.write_table(pa.table(columns), target / "data.parquet")
    return ExamplesSplit(str(folder / "examples"), "eval")


def model(folder: Path, weight: float, label: str = "tipped") -> str:
    uri = save(folder, Formula(weight))
    describe(uri, label, "classification")
    return uri


def contest(
    folder: Path,
    split: ExamplesSplit,
    candidates: dict[str, str],
    current: CurrentModel | None = None,
    **config: Any,
) -> Evaluation:
    task = EvaluationTask(split, candidates, current, None, str(folder / "evaluation"), ROWS)
    settings = {"metrics": ["accuracy", "auc"], **config}
    return evaluate(
        task, EvaluationConfig.from_dict(settings), lambda: beam.Pipeline(runner="FnApiRunner")
    )


def run(
    folder: Path, split: ExamplesSplit, candidate: str, pushed: str | None = None, **config: Any
) -> EvaluationResult:
    current = CurrentModel("pushed", pushed, 3) if pushed else None
    return contest(folder, split, {"": candidate}, current, **config).result


def test_metrics_overall_and_by_slices(tmp_path: Path) -> None:
    result = run(tmp_path, examples(tmp_path), model(tmp_path / "m", 5.0), slices=[["company"]])
    assert result.blessed and not result.unchanged
    assert result.counts == {
        "rows_in": ROWS,
        "rows_evaluated": ROWS,
        "rows_missing_label": 0,
        "rows_missing_entity": 0,
        "rows_unknown_label": 0,
        "rows_failed": 0,
    }
    assert result.overall["candidate"]["accuracy"] == pytest.approx(0.9)
    slices = {
        r["slice"]: r for r in pq.read_table(tmp_path / "evaluation" / "slices.parquet").to_pylist()
    }
    assert list(slices) == ["overall", "company=B", "company=C"]
    assert slices["company=B"]["accuracy"] == 1.0  # odd rows are never turned
    assert slices["company=C"]["accuracy"] == pytest.approx(0.8)
    assert slices["company=C"]["rows"] == ROWS / 2
    opened = tfma.load_eval_result(str(tmp_path / "evaluation"))
    assert len(opened.slicing_metrics) == 3


def test_a_worse_model_does_not_replace_the_pushed_one(tmp_path: Path) -> None:
    good, bad = model(tmp_path / "good", 5.0), model(tmp_path / "bad", -5.0)
    limits = {"accuracy": {"max_drop": 0.02}}
    result = run(tmp_path, examples(tmp_path), bad, good, thresholds=limits)
    assert not result.blessed
    assert any(
        "worse than the pushed version's 0.9 by more than 0.02" in o for o in result.objections
    )
    assert any("significantly worse than the pushed version's" in o for o in result.objections)
    table = pq.read_table(tmp_path / "evaluation" / "slices.parquet").to_pylist()
    assert (table[0]["accuracy"], table[0]["pushed_accuracy"]) == pytest.approx((0.1, 0.9))


def test_a_value_threshold_refuses(tmp_path: Path) -> None:
    limits = {"accuracy": {"min": 0.95}}
    result = run(tmp_path, examples(tmp_path), model(tmp_path / "m", 5.0), thresholds=limits)
    assert result.objections == ["accuracy is 0.9, the threshold is 0.95"]


def test_the_same_model_is_unchanged(tmp_path: Path) -> None:
    uri = model(tmp_path / "m", 5.0)
    assert run(tmp_path, examples(tmp_path), uri, uri).unchanged


def test_nothing_is_blessed_without_a_label(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, examples(tmp_path, labels=False), model(tmp_path / "m", 5.0))
    assert not result.blessed
    assert result.counts["rows_missing_label"] == ROWS
    assert result.overall == {}


def test_another_task_or_label_cannot_be_compared(tmp_path: Path) -> None:
    ours, theirs = model(tmp_path / "m", 5.0), model(tmp_path / "n", 5.0, label="paid")
    with pytest.raises(BeamfleetError, match="label was 'paid', is 'tipped'"):
        run(tmp_path, examples(tmp_path), ours, theirs)


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """The label is whether the company is B."""
    import tensorflow as tf

    word = tf.sparse.to_dense(inputs["company"], default_value="")[:, 0]
    return {"tipped": tf.cast(word == "B", tf.int64), "is_b": tf.cast(word == "B", tf.int64)}


def graph(folder: Path, split: ExamplesSplit) -> str:
    from tensorflow_metadata.proto.v0 import schema_pb2

    from components.transform.transform import TransformTask, transform

    schema = schema_pb2.Schema()
    schema.feature.add(name="company", type=schema_pb2.BYTES)
    task = TransformTask(
        (split,), "eval", f"{__name__}.preprocessing_fn", str(folder / "graph"), str(folder / "t")
    )
    transform(task, schema, lambda: beam.Pipeline(runner="FnApiRunner"))
    return task.graph_uri


@pytest.mark.parametrize("label", ["tipped", "is_b"])
def test_the_label_is_that_of_the_preprocessing(tmp_path: Path, label: str) -> None:
    """Half of the companies are B; the raw column of the same name says something else."""
    split = examples(tmp_path)
    uri = model(tmp_path / "m", 5.0, label=label)
    task = EvaluationTask(
        split, {"": uri}, None, graph(tmp_path, split), str(tmp_path / "evaluation"), ROWS
    )
    result = evaluate(
        task,
        EvaluationConfig.from_dict({"metrics": ["accuracy"]}),
        lambda: beam.Pipeline(runner="FnApiRunner"),
    )
    overall = result.result.overall
    assert overall["candidate"]["accuracy"] == pytest.approx(0.5, abs=0.01)
    assert overall["majority"]["accuracy"] == 0.5


def test_a_label_that_nobody_has_is_named(tmp_path: Path) -> None:
    split = examples(tmp_path)
    uri = model(tmp_path / "m", 5.0, label="paid")
    with pytest.raises(BeamfleetError, match="lack the label column 'paid'"):
        run(tmp_path, split, uri)
    task = EvaluationTask(
        split, {"": uri}, None, graph(tmp_path, split), str(tmp_path / "evaluation"), ROWS
    )
    with pytest.raises(Exception, match=r"nor the preprocessed ones .* have a column 'paid'"):
        evaluate(
            task,
            EvaluationConfig.from_dict({"metrics": ["accuracy"]}),
            lambda: beam.Pipeline(runner="FnApiRunner"),
        )


def test_lost_rows_are_an_error(tmp_path: Path) -> None:
    uri, split = model(tmp_path / "m", 5.0), examples(tmp_path)
    task = EvaluationTask(split, {"": uri}, None, None, str(tmp_path / "e"), ROWS + 1)
    with pytest.raises(BeamfleetError, match="should have 401 rows, 400 were evaluated"):
        evaluate(
            task,
            EvaluationConfig.from_dict({"metrics": ["accuracy"]}),
            lambda: beam.Pipeline(runner="FnApiRunner"),
        )
