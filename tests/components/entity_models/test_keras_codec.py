"""Keras models come back with the same predictions, and nothing else does."""

import json
import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras")

from sklearn.preprocessing import StandardScaler  # noqa: E402

from components.entity_models import graph, keras_codec  # noqa: E402
from components.entity_models.codecs import decode, encode  # noqa: E402
from components.entity_models.prepared import PreparedModel  # noqa: E402
from components.errors import BeamfleetError  # noqa: E402

INPUTS = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")


def sequential():
    keras.utils.set_random_seed(7)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((3,)),
            layers.Normalization(),
            layers.Dense(4, activation="relu", kernel_regularizer="l2"),
            layers.Dropout(0.1),
            layers.Dense(2, activation="softmax"),
        ]
    )


def functional():
    keras.utils.set_random_seed(7)
    inputs = keras.Input((3,))
    left, right = keras.layers.Dense(2)(inputs), keras.layers.Dense(3)(inputs)
    return keras.Model(inputs, keras.layers.Concatenate()([left, right]))


@pytest.mark.parametrize("build", [sequential, functional])
def test_round_trip_and_same_bytes(build):
    model = build()
    framework, payload = encode(model)
    assert framework == "keras"
    np.testing.assert_array_equal(decode(framework, payload)(INPUTS), model(INPUTS))
    assert encode(build()) == (framework, payload)  # although Keras goes on counting layers


def test_prepared_keras_speaks_words():
    model = PreparedModel(sequential(), StandardScaler().fit(INPUTS), np.array(["no", "yes"]))
    loaded = decode(*encode(model))
    assert set(loaded.predict(INPUTS)) <= {"no", "yes"}
    np.testing.assert_allclose(loaded.predict_proba(INPUTS).sum(axis=1), 1, atol=1e-6)


def tampered(change):
    parts = graph.decode(encode(sequential())[1])
    config = json.loads(parts["config"])
    change(config, config["config"]["layers"])
    return graph.encode({**parts, "config": json.dumps(config)})


def _layer(place, **values):
    return lambda config, layers: layers[place].update(values)


def _config(place, **values):
    return lambda config, layers: layers[place]["config"].update(values)


@pytest.mark.parametrize(
    "change",
    [
        _layer(2, class_name="Lambda"),
        _layer(2, class_name="TFSMLayer"),
        _layer(2, class_name="StringLookup"),
        _layer(2, module="os", class_name="system"),
        _layer(2, module="builtins", class_name="eval"),
        _layer(2, registered_name="other>Dense"),
        _layer(2, class_name="__lambda__"),
        _config(2, units=10**12),
        _config(2, units=5),
        _config(2, activation={"class_name": "function", "config": "os.system"}),
        _config(2, activation={"class_name": "__lambda__", "config": {"value": "x"}}),
        _config(2, activation={"module": "subprocess", "class_name": "run", "config": {}}),
        lambda config, layers: config.update(class_name="Model"),
        lambda config, layers: config.update(module="keras.saving"),
        lambda config, layers: layers.clear(),
    ],
)
def test_a_tampered_configuration_is_refused(change):
    with pytest.raises(BeamfleetError):
        keras_codec.decode(tampered(change))


def test_a_lambda_layer_cannot_be_saved():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    with pytest.raises(BeamfleetError, match="Lambda"):
        encode(model)
