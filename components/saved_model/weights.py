"""Weights of an exported Keras model, read as plain numbers: nothing of the file is run.

`TrainingData.export` names them `weights/0`, `weights/1`, ... in the order of `model.weights`, in
the checkpoint that every SavedModel has in `variables/`. A checkpoint is tensors and their names.
"""

from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf

from components.errors import BeamfleetError

ATTRIBUTE = "weights"
_CHECKPOINT = "variables/variables"


def start_from(model: keras.Model, folder: str) -> None:
    """Gives the model the weights of the SavedModel in `folder`; its optimizer starts anew.

    Raises:
      BeamfleetError: the two do not have as many weights of the same shapes, in the same order, or
        it was exported in another way.
    """
    found = read_weights(folder)
    ours = [(weight.path, tuple(weight.shape)) for weight in model.weights]
    theirs = [tuple(weight.shape) for weight in found]
    for number, (name, shape) in enumerate(ours[: len(theirs)]):
        if shape != theirs[number]:
            raise BeamfleetError(
                f"cannot start from {folder}: weight {number} ({name}) has shape {shape}, there "
                f"{theirs[number]}; {_ADVICE}"
            )
    if len(ours) != len(theirs):
        raise BeamfleetError(
            f"cannot start from {folder}: the model has {len(ours)} weights, there are "
            f"{len(theirs)}; {_ADVICE}"
        )
    model.set_weights(found)


def read_weights(folder: str) -> list[npt.NDArray[Any]]:
    """In the order of `model.weights`.

    Raises:
      BeamfleetError: there are none by these names, or the checkpoint is broken.
    """
    try:
        reader = tf.train.load_checkpoint(f"{folder}/{_CHECKPOINT}")
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise BeamfleetError(f"{folder}/{_CHECKPOINT} cannot be read: {error}") from error
    known = reader.get_variable_to_shape_map()
    names: list[str] = []
    while (name := f"{ATTRIBUTE}/{len(names)}/.ATTRIBUTES/VARIABLE_VALUE") in known:
        names.append(name)
    if not names:
        raise BeamfleetError(
            f"{folder} was not exported by TrainingData.export: its weights have no known order, "
            "and a model cannot be started from them"
        )
    return [reader.get_tensor(name) for name in names]


_ADVICE = (
    "train the same architecture (the hparams among them that make it), or without warm_start=True "
    "from scratch"
)
