"""A training that starts from the weights of an exported model."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import BeamfleetError
from components.saved_model.weights import read_weights, start_from
from tests.components.saved_model.models import save

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(512, 3)).astype("float32")
LABEL = (ROWS.sum(axis=1) > 0).astype("float32")


def network(units: int = 8, layers: int = 1) -> keras.Model:
    column = inputs = keras.Input((3,))
    for _ in range(layers):
        column = keras.layers.Dense(units, activation="relu")(column)
    column = keras.layers.BatchNormalization()(column)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(column))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return model


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    keras.utils.set_random_seed(1)
    model = network()
    model.fit(ROWS, LABEL, epochs=4, verbose=0)
    return model


@pytest.fixture(scope="module")
def folder(trained: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> str:
    """As `TrainingData.export` saves it: the end-to-end test holds the two together."""
    served = tf.Module()
    served.weights, served.model = list(trained.weights), trained
    target = str(tmp_path_factory.mktemp("model"))
    tf.saved_model.save(served, target)
    return target


def test_it_goes_on_where_the_other_one_ended(trained: keras.Model, folder: str) -> None:
    cold, warm = network(), network()
    warm.optimizer.learning_rate = 0.5
    start_from(warm, folder)
    assert np.array_equal(warm(ROWS[:9], training=False), trained(ROWS[:9], training=False))
    assert float(warm.optimizer.learning_rate) == 0.5  # it is the new training's own
    warm.optimizer.learning_rate = 0.01
    first_epoch = [model.fit(ROWS, LABEL, verbose=0).history["loss"][0] for model in (cold, warm)]
    assert first_epoch[1] < 0.5 * first_epoch[0]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (network(units=9), r"weight 0 \(.*kernel\) has shape \(3, 9\), there \(3, 8\)"),
        (network(layers=2), r"weight 2 \(.*kernel\) has shape \(8, 8\), there \(8,\)"),
        (network(layers=0), r"weight 0 \(.*gamma\) has shape \(3,\), there \(3, 8\)"),
        (keras.Sequential([keras.Input((3,)), keras.layers.Dense(8)]), "has 2 weights, there are"),
    ],
)
def test_another_architecture_is_refused_and_nothing_is_loaded(
    model: keras.Model, words: str, folder: str
) -> None:
    before = [np.array(weight) for weight in model.get_weights()]
    with pytest.raises(BeamfleetError, match=rf"cannot start from .*: .*{words}"):
        start_from(model, folder)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_models_that_were_exported_in_another_way_are_named(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"was not exported by TrainingData.export"):
        read_weights(save(tmp_path / "m"))
    with pytest.raises(BeamfleetError, match="cannot be read"):
        read_weights(str(tmp_path / "gone"))
    broken = Path(save(tmp_path / "b")) / "variables" / "variables.index"
    broken.write_bytes(b"x")
    with pytest.raises(BeamfleetError, match="cannot be read"):
        read_weights(str(broken.parents[1]))
