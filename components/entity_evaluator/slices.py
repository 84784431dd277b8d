"""Overall and sliced metrics by TFMA, over the predictions of the composed version."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.entity_evaluator.metrics import LOG_LOSS_CLIP
from components.entity_evaluator.scores import ScoreColumns

if TYPE_CHECKING:
    from tensorflow_model_analysis.proto import config_pb2

LABEL, PREDICTION = "beamfleet_label", "beamfleet_prediction"


class AnalyzeSlices(beam.PTransform):
    """Score tables in; writes a result that `tfma.load_eval_result` opens.

    TFMA runs model-agnostic: it sees a label and a prediction column. TFMA has no place for a
    prediction that failed or a label of no known class: they count as errors (of two classes the
    certain wrong one is predicted), as in our own metrics. Rows without a label or an entity key,
    and failed rows of a regression, are left out and counted elsewhere. It takes about 0.15 CPU ms
    a row and slicing.
    """

    def __init__(
        self, uri: str, columns: ScoreColumns, name: str, slices: Sequence[Sequence[str]]
    ) -> None:
        """Takes the folder of the result, the pass whose predictions count, and the slicings."""
        super().__init__()
        self._uri, self._columns, self._name = uri, columns, name
        self._slices = tuple(tuple(s) for s in slices)

    def expand(self, tables: beam.PCollection) -> Any:
        # TFMA brings TensorFlow, which nothing else here needs.
        from tensorflow_model_analysis.api import model_eval_lib

        config = eval_config(self._columns, self._slices)
        return (
            tables
            | "ToTfma" >> beam.FlatMap(to_tfma, self._columns, self._name)
            | "AnalyzeSlices"
            >> model_eval_lib.ExtractEvaluateAndWriteResults(
                eval_config=config, output_path=self._uri
            )
        )


def to_tfma(table: pa.Table, columns: ScoreColumns, name: str) -> list[pa.RecordBatch]:
    """Turns a score table into list columns: label, prediction and the words of the slices."""
    table = table.filter(
        pc.and_(pc.is_valid(table.column("label")), pc.is_valid(table.column("entity")))
    )
    if columns.spec.task == "regression":
        table = table.filter(pc.is_null(table.column(f"pass:{name}:error")))
    if not table.num_rows:
        return []
    label, prediction = _label_and_prediction(table.combine_chunks(), columns, name)
    arrays = {LABEL: _lists(label), PREDICTION: prediction}
    for column in columns.extra:
        arrays[column] = _lists(table.column(f"extra:{column}").combine_chunks())
    return [pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))]


def eval_config(columns: ScoreColumns, slices: Sequence[Sequence[str]]) -> "config_pb2.EvalConfig":
    """TFMA's configuration: the metrics of the task, overall and by the slicings."""
    # tfma.EvalConfig is there only after TFX was imported.
    from tensorflow_model_analysis.proto import config_pb2

    config = config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(label_key=LABEL, prediction_key=PREDICTION)],
        slicing_specs=[config_pb2.SlicingSpec()],
    )
    config.slicing_specs.extend(config_pb2.SlicingSpec(feature_keys=s) for s in slices)
    names = ["ExampleCount", *_METRICS[_kind(columns)]]
    metrics = [config_pb2.MetricConfig(class_name=name) for name in names]
    if _kind(columns) == "multi-class":  # threshold 0: the likeliest class, however unlikely
        matrix = "MultiClassConfusionMatrixAtThresholds"
        metrics.append(config_pb2.MetricConfig(class_name=matrix, config='{"thresholds": [0.0]}'))
    config.metrics_specs.add(metrics=metrics)
    return config


def _label_and_prediction(
    table: pa.Table, columns: ScoreColumns, name: str
) -> tuple[pa.Array, pa.Array]:
    label = table.column("label").chunk(0)
    if columns.spec.task == "regression":
        return label, _lists(table.column(f"pass:{name}:predicted").chunk(0))
    if columns.positive is None:
        return label, table.column(f"pass:{name}:probabilities").chunk(0)
    unknown = pc.equal(label, len(columns.spec.classes))
    score = pc.if_else(unknown, 1.0, table.column(f"pass:{name}:score").chunk(0))
    return pc.equal(label, columns.positive).cast(pa.int64()), _lists(_off_the_ends(score))


def _off_the_ends(probability: pa.Array) -> pa.Array:
    """TFMA's cross entropy is NaN where a model is sure, as trees are; ours is clipped."""
    low = pc.max_element_wise(probability, LOG_LOSS_CLIP)
    return pc.min_element_wise(low, 1 - LOG_LOSS_CLIP)


def _kind(columns: ScoreColumns) -> str:
    if columns.spec.task == "regression":
        return "regression"
    return "multi-class" if columns.positive is None else "two-class"


def _lists(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(np.arange(len(values) + 1, dtype=np.int32), values)


_METRICS: Mapping[str, tuple[str, ...]] = {
    "two-class": (
        "BinaryAccuracy",
        "AUC",
        "Precision",
        "Recall",
        "F1Score",
        "BinaryCrossEntropy",
        "Calibration",
        "TruePositives",
        "TrueNegatives",
        "FalsePositives",
        "FalseNegatives",
    ),
    "multi-class": (
        "SparseCategoricalAccuracy",
        "SparseCategoricalCrossentropy",
    ),
    "regression": ("MeanSquaredError", "MeanAbsoluteError", "Calibration"),
}
