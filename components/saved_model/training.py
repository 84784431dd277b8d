"""What a `run_fn` needs around its model: batches to train on, and the way it is exported.

    def run_fn(fn_args):
        data = TrainingData(fn_args, label="tipped")
        model = ...  # any Keras 3 model that takes a dictionary of columns
        model.fit(data.train, validation_data=data.evaluation, callbacks=[data.tensorboard()])
        data.export(model)

`fn_args` is TFX's own; a `run_fn` that does all of this by itself is as welcome.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import graph_tools, tf2_utils
from tensorflow_transform.tf_metadata import schema_utils
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx_bsl.tfxio import dataset_options

from components.errors import BeamfleetError
from components.files import write_json
from components.saved_model.layout import STARTED
from components.saved_model.weights import start_from

_SHUFFLE_ROWS, _BATCH_SIZE = 10_000, 128


class TrainingData:
    """The preprocessed examples of a `run_fn`."""

    def __init__(self, fn_args: FnArgs, label: str, seed: int = 0) -> None:
        """Looks at what there is.

        Args:
          fn_args: As TFX gives them.
          label: Column to predict, of the preprocessed examples.
          seed: Of the order of the rows, and of Keras.

        Raises:
          BeamfleetError: there is no such column, or there was no preprocessing.
        """
        if not fn_args.transform_graph_path:
            raise BeamfleetError("TrainingData reads preprocessed examples: add .preprocess(...)")
        self._fn_args, self._label, self._seed = fn_args, label, seed
        self._batch_size = int(self.hparams.get("batch_size", _BATCH_SIZE))
        keras.utils.set_random_seed(seed)
        if label not in self.spec:
            raise BeamfleetError(
                f"the examples to train on have no column {label!r}, only {sorted(self.spec)}"
            )

    @property
    def hparams(self) -> Mapping[str, Any]:
        """Those of the pipeline; what the tuner found wins, and over it a candidate's own ones.

        `batch_size` (128) is obeyed here.
        """
        config = self._fn_args.custom_config or {}
        tuned = (self._fn_args.hyperparameters or {}).get("values", {})
        return {**config.get("hparams", {}), **tuned, **config.get("candidate_hparams", {})}

    @property
    def trials(self) -> int:
        """How many a tuner may try."""
        return int((self._fn_args.custom_config or {})["trials"])

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """Column -> how TensorFlow reads it; the label among them."""
        return dict(schema_utils.schema_as_feature_spec(self._schema).feature_spec)

    @property
    def train(self) -> tf.data.Dataset:
        """({column: (batch,)}, (batch,)) of the split `train`, shuffled anew for every epoch."""
        return self._batches(self._fn_args.train_files, shuffle=True)

    @property
    def evaluation(self) -> tf.data.Dataset:
        """({column: (batch,)}, (batch,)) of the split `eval`."""
        return self._batches(self._fn_args.eval_files, shuffle=False)

    def inputs(self) -> dict[str, keras.KerasTensor]:
        """An input of a functional Keras model for each column but the label."""
        return {
            # Keras takes no slash in a name; the columns are told apart by their keys.
            name: keras.Input((), name=name.replace("/", "_"), dtype=feature.dtype.name)
            for name, feature in self.spec.items()
            if name != self._label
        }

    def tensorboard(self) -> keras.callbacks.Callback:
        """Writes the training curves into the ModelRun artifact, for TensorBoard."""
        return keras.callbacks.TensorBoard(self._fn_args.model_run_dir, update_freq="epoch")

    def warm_start(self, model: keras.Model) -> None:
        """Gives the model the weights of the current one; without `warm_start=True`, or where there
        is none yet, it stays as it is.

        Raises:
          BeamfleetError: it has another architecture.
        """
        if self._fn_args.base_model:
            start_from(model, self._fn_args.base_model)
            note = {"from": self._fn_args.base_model}
            write_json(f"{self._fn_args.model_run_dir}/{STARTED}", note)

    def export(self, model: keras.Model) -> None:
        """Saves the model with the preprocessing inside: it takes serialized, raw tf.Examples.

        The signature `serving_default` predicts, `transform_features` preprocesses. Raw columns on
        which nothing depends that the model reads, such as those of the label, are not asked for.
        """
        served = _Served(model, self._columns_of(model), self._transform, self._raw_spec)
        tf.saved_model.save(
            served,
            self._fn_args.serving_model_dir,
            signatures={
                "serving_default": served.serve,
                "transform_features": served.transform_features,
            },
        )

    @cached_property
    def _transform(self) -> tft.TFTransformOutput:
        return tft.TFTransformOutput(self._fn_args.transform_graph_path)

    @property
    def _schema(self) -> schema_pb2.Schema:
        return self._transform.transformed_metadata.schema

    @property
    def _raw_spec(self) -> dict[str, Any]:
        spec = self._transform.raw_feature_spec()
        return {name: feature for name, feature in spec.items() if name != self._label}

    def _columns_of(self, model: keras.Model) -> list[str]:
        """Those that the model reads: it may leave out some, where it names its inputs."""
        given = getattr(model, "input", None)
        named = set(given) if isinstance(given, Mapping) else set(self.spec)
        return sorted(named - {self._label})

    def _batches(self, files: list[str], *, shuffle: bool) -> tf.data.Dataset:
        options = dataset_options.TensorFlowDatasetOptions(
            batch_size=self._batch_size,
            num_epochs=1,
            shuffle=shuffle,
            shuffle_buffer_size=_SHUFFLE_ROWS,
            shuffle_seed=self._seed,
            label_key=self._label,
        )
        return self._fn_args.data_accessor.tf_dataset_factory(files, options, self._schema)


class _Served(tf.Module):
    """The model behind its preprocessing; what is an attribute is saved with it."""

    def __init__(
        self,
        model: keras.Model,
        columns: list[str],
        transform: tft.TFTransformOutput,
        raw_spec: dict[str, Any],
    ) -> None:
        super().__init__()
        self.weights = list(model.weights)  # by this name `components.saved_model.weights` reads
        self.model = model
        self.layer = transform.transform_features_layer()
        self._columns = columns
        needed = _needed_inputs(transform, columns)
        self._raw_spec = {name: raw_spec[name] for name in sorted(needed & set(raw_spec))}
        examples = [tf.TensorSpec([None], tf.string, name="examples")]
        self.serve = tf.function(self._serve, input_signature=examples)
        self.transform_features = tf.function(self._preprocess, input_signature=examples)

    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"predictions": self.model(self._preprocess(examples), training=False)}

    def _preprocess(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = self.layer(tf.io.parse_example(examples, self._raw_spec))
        return {name: columns[name] for name in self._columns}


def _needed_inputs(transform: tft.TFTransformOutput, columns: list[str]) -> set[str]:
    """The raw columns on which these preprocessed columns depend."""
    loaded = tf.saved_model.load(transform.transform_savedmodel_dir).transform_fn
    function = getattr(loaded, "concrete_functions", [loaded])[0]
    graph = function.graph
    inputs = tf2_utils.get_structured_inputs_from_func_graph(graph)
    outputs = tf.nest.pack_sequence_as(
        graph.structured_outputs, graph.outputs, expand_composites=True
    )
    sinks = [
        part.op
        for name in columns
        for part in tf.nest.flatten(outputs[name], expand_composites=True)
    ]
    # Not through control dependencies: by these every output would need every input.
    sources = graph_tools.retrieve_sources(sinks, ignore_control_dependencies=True)
    return {
        name
        for name, value in inputs.items()
        if any(part in sources for part in tf.nest.flatten(value, expand_composites=True))
    }
