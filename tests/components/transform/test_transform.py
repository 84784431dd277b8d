"""Preprocessing of small splits whose outcome is worked out by hand."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from components.transform.transform import TransformTask, transform, typed

HERE = __name__
MILES, WORDS = [1.0, 3.0, None, 4.0], ["b", "a", "b", None]


def preprocessing_fn(inputs: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
    miles, word = inputs["miles"], inputs["word"]
    dense = tf.sparse.to_dense(
        tf.SparseTensor(miles.indices, miles.values, [miles.dense_shape[0], 1])
    )
    filled = tf.sparse.to_dense(
        tf.SparseTensor(word.indices, word.values, [word.dense_shape[0], 1]), ""
    )
    return {
        "miles": tft.scale_to_0_1(dense[:, 0]),
        "word": tft.compute_and_apply_vocabulary(filled[:, 0], num_oov_buckets=1),
    }


def failing_fn(inputs: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
    return {"x": inputs["mils"]}


def schema() -> schema_pb2.Schema:
    made = schema_pb2.Schema()
    made.feature.add(name="miles", type=schema_pb2.FLOAT)
    made.feature.add(name="word", type=schema_pb2.BYTES)
    return made


def task_of(folder: Path, function: str = "preprocessing_fn", **splits: Any) -> TransformTask:
    for name, (miles, words) in splits.items():
        (folder / "in" / f"Split-{name}").mkdir(parents=True)
        table = pa.table(
            {
                "miles": [[] if m is None else [m] for m in miles],
                "word": [[] if w is None else [w] for w in words],
            }
        )
        pq.write_table(table, folder / "in" / f"Split-{name}" / "data.parquet")
    return TransformTask(
        tuple(ExamplesSplit(str(folder / "in"), name) for name in splits),
        "train",
        f"{HERE}.{function}",
        str(folder / "graph"),
        str(folder / "out"),
    )


def pipeline() -> beam.Pipeline:
    return beam.Pipeline(runner="FnApiRunner")


def rows(folder: Path, split: str) -> list[tuple[float, int]]:
    files = [str(f) for f in sorted((folder / "out" / f"Split-{split}").glob("*.gz"))]
    spec = tft.TFTransformOutput(str(folder / "graph")).transformed_feature_spec()
    found = [
        tf.io.parse_single_example(one, spec)
        for one in tf.data.TFRecordDataset(files, compression_type="GZIP")
    ]
    return sorted((float(one["miles"]), int(one["word"])) for one in found)


def test_all_splits_are_preprocessed_by_what_the_analyzed_one_holds(tmp_path: Path) -> None:
    task = task_of(tmp_path, train=(MILES, WORDS), eval=([8.0], ["new"]))
    transform(task, schema(), pipeline)
    # A missing mile is 0: the range is 0 to 4. "b" comes more often than "a"; a missing word is
    # none of them, nor is "new".
    assert rows(tmp_path, "train") == [(0.0, 0), (0.25, 0), (0.75, 1), (1.0, 2)]
    assert rows(tmp_path, "eval") == [(2.0, 2)]
    assert not (tmp_path / "graph" / ".temp_path").exists()


def test_the_graph_is_what_tft_reads(tmp_path: Path) -> None:
    transform(task_of(tmp_path, train=(MILES, WORDS)), schema(), pipeline)
    output = tft.TFTransformOutput(str(tmp_path / "graph"))
    assert set(output.raw_feature_spec()) == {"miles", "word"}
    assert output.transformed_feature_spec()["word"].dtype == tf.int64


def test_an_error_of_the_user_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"failing_fn: .*test_transform.py line \d+: KeyError"):
        transform(task_of(tmp_path, "failing_fn", train=(MILES, WORDS)), schema(), pipeline)


def test_deprecated_and_unknown_columns_reach_no_model(tmp_path: Path) -> None:
    deprecated = schema()
    deprecated.feature.add(name="mils", type=schema_pb2.INT, lifecycle_stage=schema_pb2.DEPRECATED)
    batch = pa.RecordBatch.from_pydict({"miles": [1.0], "word": ["a"], "mils": ["?"], "new": [1]})
    assert typed(batch, deprecated).schema.names == ["miles", "word"]
    task = task_of(tmp_path / "fine", train=(MILES, WORDS))
    transform(task, deprecated, pipeline)
    assert rows(tmp_path / "fine", "train")
    with pytest.raises(BeamfleetError, match=r"column 'mils' is DEPRECATED in the schema"):
        transform(task_of(tmp_path, "failing_fn", train=(MILES, WORDS)), deprecated, pipeline)


def test_columns_that_do_not_fit_are_named() -> None:
    batch = pa.RecordBatch.from_pydict({"miles": ["far"], "word": ["a"]})
    with pytest.raises(BeamfleetError, match=r"column 'miles' is string, .* FLOAT"):
        typed(batch, schema())
    with pytest.raises(BeamfleetError, match="lack the column 'word'"):
        typed(pa.RecordBatch.from_pydict({"miles": [1.0]}), schema())


def test_null_is_an_empty_list() -> None:
    batch = pa.RecordBatch.from_pydict({"miles": np.array([1.0, np.nan]), "word": ["a", None]})
    found = typed(batch, schema())
    assert found.column(1).to_pylist() == [[b"a"], []]
    assert found.schema.types == [pa.large_list(pa.float32()), pa.large_list(pa.large_binary())]
