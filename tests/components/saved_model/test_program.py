"""What is read out of a graph without running it."""

from pathlib import Path

import pytest
import tensorflow as tf

from components.errors import BeamfleetError
from components.saved_model.program import Program, read_program
from tests.components.saved_model import models
from tests.components.saved_model.models import RAW, save

FEATURES = (("company", "string"), ("hour", "int64"), ("miles", "double"))


@pytest.mark.parametrize(
    ("model", "output", "width"),
    [
        (models.Formula, "predictions", 1),
        (models.Classes, "probabilities", 3),
        (models.Distance, "km", 1),
    ],
)
def test_columns_and_output(tmp_path: Path, model: type, output: str, width: int) -> None:
    assert read_program(save(tmp_path / "m", model())) == Program(FEATURES, output, width)


def test_dense_columns_are_found_as_well(tmp_path: Path) -> None:
    class Strict(models.Formula):
        def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            columns = tf.io.parse_example(
                examples,
                {
                    "miles": tf.io.FixedLenFeature([], tf.float32),
                    "hour": tf.io.FixedLenFeature([], tf.int64, default_value=7),
                },
            )
            return {
                "predictions": self.weight * columns["miles"] + tf.cast(columns["hour"], "float")
            }

    found = read_program(save(tmp_path / "m", Strict()))
    assert found.features == (("hour", "int64"), ("miles", "double"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (models.Reading, "has the operations ReadFile, which reach out"),
        (models.Restoring, "has the operations RestoreV2, which reach out"),
        (models.TwoOutputs, r"gives \['a', 'b'\]; expected one output"),
        (models.Unparsed, "does not parse its tf.Examples"),
    ],
)
def test_what_reaches_out_or_takes_something_else_is_refused(
    tmp_path: Path, model: type, message: str
) -> None:
    with pytest.raises(BeamfleetError, match=message):
        read_program(save(tmp_path / "m", model()))


def test_python_in_a_graph_is_refused(tmp_path: Path) -> None:
    class Calling(models.Formula):
        def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            called = tf.numpy_function(lambda x: x, [self._logit(examples)], tf.float32)
            return {"predictions": tf.reshape(called, [-1, 1])}

    with pytest.raises(BeamfleetError, match=r"has the operations .*PyFunc"):
        read_program(save(tmp_path / "m", Calling()))


def test_a_model_without_the_signature_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"no signature 'serving_default', only .*'other'"):
        read_program(save(tmp_path / "m", signature="other"))


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
    file = Path(folder, "saved_model.pb")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BeamfleetError, match="is not a SavedModel, or was cut off"):
        read_program(folder)
    assert RAW  # the models above share it
