"""A small use case of one model: is the sum of two numbers above a bound?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components.saved_model.training import TrainingData

HPARAMS = {"units": 4, "learning_rate": 0.05, "epochs": 6, "batch_size": 64}


def write_rows(path: Path, seed: int, rows: int = 600) -> Path:
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(2, rows))
    above = first + second + random.normal(scale=0.3, size=rows) > 0.3
    columns = {"first": first, "second": second, "shop": random.choice(["a", "b"], rows)}
    pa_csv.write_csv(pa.table({**columns, "above": above.astype(int)}), path)
    return path


def preprocessing_fn(inputs: Mapping[str, Any]) -> dict[str, Any]:
    dense = {name: tf.sparse.to_dense(inputs[name])[:, 0] for name in ("first", "second", "above")}
    scaled = {name: tft.scale_to_z_score(dense[name]) for name in ("first", "second")}
    return {**scaled, "above": dense["above"]}


def run_fn(fn_args: FnArgs) -> None:
    data = TrainingData(fn_args, "above")
    model = build(data, data.hparams)
    data.warm_start(model)
    model.fit(data.train, epochs=data.hparams["epochs"], verbose=0)
    data.export(model)


def build(data: TrainingData, hparams: Mapping[str, Any]) -> keras.Model:
    inputs = data.inputs()
    columns = [keras.layers.Reshape((1,))(column) for column in inputs.values()]
    hidden = keras.layers.Concatenate()(columns)
    hidden = keras.layers.Dense(hparams["units"], activation="relu")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(keras.optimizers.Adam(hparams["learning_rate"]), "binary_crossentropy")
    return model
