"""Has TFMA look at the measured images, so that its tools open the evaluation."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from tensorflow_model_analysis.proto import config_pb2

_WEIGHTS = {
    "exact_match": "evaluated",
    "own_order_exact_match": "own_order_known",
    "oracle_exact_match": "evaluated",
    "clip_score": "captioned",
}
"""Means over images, and the column that is 1 for the images that count."""


def analyze_images(
    images: pa.Table,
    slicings: Sequence[Sequence[str]],
    uri: str,
    make_pipeline: Callable[[], beam.Pipeline],
) -> None:
    """Writes a result that `tfma.load_eval_result` opens: means, overall and by the slicings.

    BLEU and coverage are no means over captioned images; our own files have them.
    """
    # TFMA brings TensorFlow, which nothing else here needs.
    from tensorflow_model_analysis.api import model_eval_lib

    columns = sorted({column for slicing in slicings for column in slicing})
    with make_pipeline() as pipeline:
        _ = (
            pipeline
            | "CreateImages" >> beam.Create([to_tfma(images, columns)])
            | "AnalyzeSlices"
            >> model_eval_lib.ExtractEvaluateAndWriteResults(
                eval_config=eval_config(slicings), output_path=uri
            )
        )


def to_tfma(images: pa.Table, columns: Sequence[str]) -> pa.RecordBatch:
    """The captioned images as list columns: measures, their weights, and the words of slices."""
    images = images.filter(pc.is_valid(images.column("caption")))
    arrays = {column: _lists(images.column(column).combine_chunks()) for column in columns}
    valid = {
        "captioned": images.column("caption"),
        "evaluated": images.column("exact_match"),
        "own_order_known": images.column("own_order_exact_match"),
    }
    numbers = {name: pc.is_valid(values) for name, values in valid.items()}
    numbers |= {name: images.column(name) for name in _WEIGHTS}
    for name, values in numbers.items():
        array = values.combine_chunks().cast(pa.float64())
        arrays[name] = _lists(pc.fill_null(array, 0.0))
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def eval_config(slicings: Sequence[Sequence[str]]) -> "config_pb2.EvalConfig":
    """TFMA's configuration."""
    # tfma.EvalConfig is there only after TFX was imported.
    from tensorflow_model_analysis.proto import config_pb2

    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(label_key="captioned", prediction_key="clip_score")],
        slicing_specs=[config_pb2.SlicingSpec()],
    )
    config.slicing_specs.extend(config_pb2.SlicingSpec(feature_keys=s) for s in slicings)
    metrics = [config_pb2.MetricConfig(class_name="ExampleCount")]
    for name, weight in _WEIGHTS.items():
        paths = {
            "name": name,
            "feature_key_path": ["features", name],
            "example_weights_key_path": ["features", weight],
        }
        metrics.append(config_pb2.MetricConfig(class_name="Mean", config=json.dumps(paths)))
    config.metrics_specs.add(metrics=metrics)
    return config


def _lists(values: pa.Array) -> pa.Array:
    """One value a list; a null is an empty one, which TFMA puts into no slice."""
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values.drop_null())
