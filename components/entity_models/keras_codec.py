"""Keras models as checked configuration and plain arrays.

Not as `.keras` files: those hold dates and layer numbers that differ from run to run, and their
configuration may name any importable function.
"""

import json
from typing import Any

import numpy as np

from components.entity_models import graph
from components.errors import BeamfleetError

_LAYERS = frozenset(
    {"InputLayer", "Dense", "Dropout", "BatchNormalization", "LayerNormalization", "Normalization"}
    | {"Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "Flatten", "Reshape"}
    | {"Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Dot"}
    | {"Embedding", "GaussianNoise", "GaussianDropout", "ActivityRegularization", "Rescaling"}
)
_MODELS = frozenset({"Sequential", "Functional"})
_PARTS = ("keras.initializers", "keras.regularizers", "keras.constraints")
_MODULES = frozenset({"keras", "keras.layers", "keras.src.models.functional", *_PARTS})
_LARGEST_SIZE = 10_000


def encode(model: Any) -> bytes:
    """Gives the bytes of a Sequential or Functional model; how it was compiled is left out.

    Raises:
      BeamfleetError: a layer is not on the list.
    """
    config = _renamed(json.loads(model.to_json()))
    config.pop("compile_config", None)
    weights = [np.asarray(weight) for weight in model.get_weights()]
    _check(config, weights)
    return graph.encode({"config": json.dumps(config, sort_keys=True), "weights": weights})


def decode(payload: bytes) -> object:
    """Inverse of `encode`."""
    import keras

    parts: Any = graph.decode(payload)
    try:
        config, weights = json.loads(parts["config"]), parts["weights"]
        _check(config, weights)
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        model.set_weights(weights)
    except BeamfleetError:
        raise
    except Exception as error:  # Keras raises whatever its layers raise
        raise BeamfleetError(
            f"the Keras payload was changed ({type(error).__name__}: {error}); restore the artifact"
        ) from error
    return model


def _renamed(config: Any) -> Any:
    """Numbers layers within the model: Keras numbers them within the process."""
    layers = [layer["config"]["name"] for layer in config["config"]["layers"]]
    names = {name: f"layer_{place}" for place, name in enumerate(layers)}
    names[config["config"]["name"]] = "model"
    return _replace(config, names)


def _replace(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {
            key: names.get(value, value)
            if key == "name" and isinstance(value, str)
            else _replace(value, names)
            for key, value in node.items()
        }
    if isinstance(node, list):
        if len(node) == 3 and isinstance(node[0], str) and isinstance(node[1], int):
            return [names.get(node[0], node[0]), *node[1:]]  # a reference to a layer's output
        return [_replace(item, names) for item in node]
    return node


def _check(config: Any, weights: list[np.ndarray[Any, Any]]) -> None:
    """Refuses what Keras would import, call or read from disk, and sizes without weights."""
    if not isinstance(config, dict) or config.get("class_name") not in _MODELS:
        raise BeamfleetError("cannot keep this Keras model: expected Sequential or Functional")
    largest = max([_LARGEST_SIZE, *(length for weight in weights for length in weight.shape)])
    _check_node(config, largest)


def _check_node(node: Any, largest: int) -> None:
    if isinstance(node, list):
        for item in node:
            _check_node(item, largest)
    elif isinstance(node, dict):
        if "class_name" in node or "module" in node or "registered_name" in node:
            _check_class(node)
        for value in node.values():
            _check_node(value, largest)
    elif isinstance(node, int) and abs(node) > largest:
        raise BeamfleetError(f"the Keras configuration has a size of {node} without weights for it")


def _check_class(node: dict[str, Any]) -> None:
    name, module = node.get("class_name"), node.get("module")
    if name == "__keras_tensor__" and module is None:
        return
    known = (
        (module == "keras.layers" and name in _LAYERS)
        or (module in ("keras", "keras.src.models.functional") and name in _MODELS)
        or (module == "keras" and name == "DTypePolicy")
        or (module in _PARTS and isinstance(name, str) and name.isidentifier())
    )
    if not known or node.get("registered_name") not in (None, name):
        raise BeamfleetError(f"cannot keep a Keras model with {module}.{name}: not on the list")
