"""Analyzes one split and preprocesses all, on Arrow from end to end.

    <graph>/transform_fn/ transformed_metadata/ metadata/   as TFX's Transform writes them
    <examples>/Split-<name>/*.gz                            tf.Examples, as TFX's Trainer reads them

TFX's own executor cannot read the Parquet that ExampleGen writes: its reader wants 32-bit floats.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_transform.beam as tft_beam
from apache_beam.io.filesystems import FileSystems
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tfx_bsl.tfxio import tensor_adapter, tensor_representation_util

from components.curated_schema.columns import is_used, stage
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, ReadExamples
from components.user_function import described, load_function

_TYPES = {
    schema_pb2.BYTES: pa.large_binary(),
    schema_pb2.INT: pa.int64(),
    schema_pb2.FLOAT: pa.float32(),
}


@dataclass(frozen=True)
class TransformTask:
    """What is preprocessed, and where results go."""

    splits: tuple[ExamplesSplit, ...]
    analyze: str
    """Split whose means, vocabularies and so on are taken."""
    preprocessing_fn: str
    """Dotted path."""
    graph_uri: str
    examples_uri: str


def transform(
    task: TransformTask, schema: schema_pb2.Schema, make_pipeline: Callable[[], beam.Pipeline]
) -> None:
    """Writes the transform graph and the preprocessed examples.

    Args:
      task: What and where.
      schema: Of the raw examples.
      make_pipeline: Gives a Beam pipeline.

    Raises:
      BeamfleetError: the user's function fails, a column does not fit its type, there are no rows
        to analyze, or some were lost.
    """
    preprocessing_fn = _named(task.preprocessing_fn, schema)
    config = adapter_config(schema)
    temp = f"{task.graph_uri}/.temp_path"
    with make_pipeline() as pipeline, tft_beam.Context(temp_dir=temp):
        batches = {
            split.split: pipeline
            | f"ReadExamples[{split.split}]" >> ReadExamples(split)
            | f"TypeColumns[{split.split}]" >> beam.Map(typed, schema)
            for split in task.splits
        }
        fn = (batches[task.analyze], config) | "AnalyzeExamples" >> tft_beam.AnalyzeDataset(
            preprocessing_fn
        )
        _ = fn | "WriteGraph" >> tft_beam.WriteTransformFn(task.graph_uri)
        for name, rows in batches.items():
            dataset = ((rows, config), fn) | f"TransformExamples[{name}]" >> (
                tft_beam.TransformDataset(output_record_batches=True)
            )
            written = dataset[0] | f"WriteExamples[{name}]" >> _WriteExamples(
                f"{task.examples_uri}/Split-{name}"
            )
            counted = (
                rows
                | f"CountIn[{name}]" >> beam.Map(lambda batch: batch.num_rows)
                | f"SumIn[{name}]" >> beam.CombineGlobally(sum)
            )
            _ = counted | f"CheckRows[{name}]" >> beam.Map(
                _check_rows, beam.pvalue.AsSingleton(written), name, name == task.analyze
            )
    metadata_io.write_metadata(
        dataset_metadata.DatasetMetadata(schema), f"{task.graph_uri}/metadata"
    )
    if FileSystems.exists(temp):
        FileSystems.delete([temp])


def typed(batch: pa.RecordBatch, schema: schema_pb2.Schema) -> pa.RecordBatch:
    """Plain columns as the list columns that TensorFlow Transform reads; null is an empty list.

    Raises:
      BeamfleetError: a column of the schema is missing, or has another type.
    """
    arrays = []
    used = used_columns(schema)
    for feature in used:
        if feature.name not in batch.schema.names:
            raise BeamfleetError(
                f"the examples lack the column {feature.name!r} of the schema; they have "
                f"{batch.schema.names}"
            )
        column = batch.column(batch.schema.get_field_index(feature.name))
        try:
            arrays.append(_lists(column.cast(_TYPES[feature.type])))
        except pa.ArrowException as error:
            raise BeamfleetError(
                f"column {feature.name!r} is {column.type}, which does not fit the schema's "
                f"{schema_pb2.FeatureType.Name(feature.type)}: {error}"
            ) from None
    return pa.RecordBatch.from_arrays(arrays, names=[feature.name for feature in used])


class _WriteExamples(beam.PTransform):
    """(record batch, pass-through) pairs in; writes gzipped tf.Examples, gives their number."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        serialized = pairs | "EncodeExamples" >> beam.FlatMap(_Encode())
        _ = serialized | "WriteTFRecord" >> beam.io.WriteToTFRecord(
            f"{self._folder}/transformed_examples", file_name_suffix=".gz"
        )
        return serialized | "CountRows" >> beam.combiners.Count.Globally()


class _Encode:
    """Serializes the rows of record batches; the encoder is made where it works."""

    def __init__(self) -> None:
        self._encoder: Any = None

    def __call__(self, pair: tuple[pa.RecordBatch, Any]) -> Iterable[bytes]:
        if self._encoder is None:
            self._encoder = RecordBatchToExamplesEncoder()
        encoded: Iterable[bytes] = self._encoder.encode(pair[0])
        return encoded

    def __getstate__(self) -> dict[str, Any]:
        return {"_encoder": None}


def _check_rows(read: int, written: int, split: str, is_analyzed: bool) -> None:
    if is_analyzed and not read:
        raise BeamfleetError(f"split {split!r} has no rows to take means and vocabularies from")
    if read != written:
        raise BeamfleetError(
            f"split {split!r}: {read} rows were read, {written} preprocessed; a preprocessing_fn "
            "has to give a row for every row"
        )


def used_columns(schema: schema_pb2.Schema) -> list[Any]:
    """Features of the schema that are not DEPRECATED or the like."""
    return [feature for feature in schema.feature if is_used(feature)]


def _named(dotted_path: str, schema: schema_pb2.Schema) -> Callable[[Any], Any]:
    """The user's function; its errors say where in the user's file they came from."""
    function = load_function(dotted_path)
    file = Path(function.__code__.co_filename)

    def preprocessing_fn(inputs: Mapping[str, Any]) -> Any:
        try:
            return function(inputs)
        except KeyError as error:
            hint = _missing(error.args[0] if error.args else "", schema)
            raise BeamfleetError(f"{dotted_path}: {described(error, file)}{hint}") from error
        except Exception as error:
            raise BeamfleetError(f"{dotted_path}: {described(error, file)}") from error

    return preprocessing_fn


def _missing(name: Any, schema: schema_pb2.Schema) -> str:
    """Why a column is not given to the function, if the schema says why."""
    out = [f for f in schema.feature if f.name == name and not is_used(f)]
    return (
        f"; column {name!r} is {stage(out[0])} in the schema: models do not get it" if out else ""
    )


def adapter_config(schema: schema_pb2.Schema) -> tensor_adapter.TensorAdapterConfig:
    fields = [pa.field(f.name, pa.large_list(_TYPES[f.type])) for f in used_columns(schema)]
    representations = tensor_representation_util.InferTensorRepresentationsFromMixedSchema(schema)
    return tensor_adapter.TensorAdapterConfig(pa.schema(fields), representations)


def _lists(values: pa.Array) -> pa.Array:
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int64)
    return pa.LargeListArray.from_arrays(offsets, values.drop_null())
