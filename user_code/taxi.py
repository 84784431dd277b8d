"""Taxi: will the passenger tip more than a fifth of the fare?"""

from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from components.saved_model.training import TrainingData

LABEL = "tipped"
NUMBERS = ("fare", "trip_miles", "trip_seconds")
PLACES = ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude")
BUCKETS = 10
WORDS = {"payment_type": 8, "company": 40}
"""Column -> words that get a number of their own; the others share one."""
CLOCK = {"trip_start_hour": 24, "trip_start_day": 8, "trip_start_month": 13}


def preprocessing_fn(inputs: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
    """Scales numbers, cuts places into buckets, numbers words; makes the label of tips and fare."""
    outputs = {}
    for name in NUMBERS:
        number = tf.cast(_dense(inputs[name]), tf.float32)
        outputs[name] = tft.scale_to_z_score(tf.math.log1p(number))
    for name in PLACES:
        outputs[name] = tft.bucketize(_dense(inputs[name]), BUCKETS)
    for name, size in WORDS.items():
        outputs[name] = tft.compute_and_apply_vocabulary(
            _dense(inputs[name]), top_k=size, num_oov_buckets=1, vocab_filename=name
        )
    outputs |= {name: _dense(inputs[name]) for name in CLOCK}
    tips, fare = _dense(inputs["tips"]), _dense(inputs["fare"])
    outputs[LABEL] = tf.cast(tips > 0.2 * fare, tf.int64)
    return outputs


def run_fn(fn_args: FnArgs) -> None:
    """Trains a small network and exports it with the preprocessing inside."""
    data = TrainingData(fn_args, LABEL)
    model = build_model(data, data.hparams)
    data.warm_start(model)
    model.fit(
        data.train,
        validation_data=data.evaluation,
        epochs=data.hparams["epochs"],
        callbacks=[data.tensorboard()],
        verbose=0,
    )
    data.export(model)


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Looks for the size of the network and the rate at which it learns."""
    data = TrainingData(fn_args, LABEL)

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        hp.Choice("units", [16, 32, 64])
        hp.Float("learning_rate", 5e-4, 2e-2, sampling="log")
        return build_model(data, {**data.hparams, **hp.values})

    tuner = keras_tuner.RandomSearch(
        build,
        objective="val_loss",
        max_trials=data.trials,
        seed=0,
        directory=fn_args.working_dir,
        overwrite=True,
    )
    fit = {"x": data.train, "validation_data": data.evaluation, "epochs": 3, "verbose": 0}
    return TunerFnResult(tuner=tuner, fit_kwargs=fit)


def build_model(data: TrainingData, hparams: Mapping[str, Any]) -> keras.Model:
    """Numbers as they are, all else as one of its values; two layers."""
    inputs = data.inputs()
    sizes = dict.fromkeys(PLACES, BUCKETS) | CLOCK | {n: s + 1 for n, s in WORDS.items()}
    columns = [keras.layers.Reshape((1,))(inputs[name]) for name in NUMBERS]
    for name, size in sizes.items():
        one_hot = keras.layers.CategoryEncoding(num_tokens=size, output_mode="one_hot")
        columns.append(one_hot(inputs[name]))
    hidden = keras.layers.Concatenate()(columns)
    for _ in range(2):
        hidden = keras.layers.Dense(hparams["units"], activation="relu")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(
        keras.optimizers.Adam(hparams["learning_rate"]),
        "binary_crossentropy",
        metrics=["AUC", "accuracy"],
    )
    return model


def _dense(column: tf.SparseTensor) -> tf.Tensor:
    """(rows,) values; a missing one is 0 or the empty word."""
    empty = "" if column.dtype == tf.string else tf.zeros([], column.dtype)
    shaped = tf.SparseTensor(column.indices, column.values, [column.dense_shape[0], 1])
    return tf.squeeze(tf.sparse.to_dense(shaped, empty), axis=1)
