"""The user's functions of stock TFX: as ours, with the export that a TFX user writes by hand."""

import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components.saved_model.training import TrainingData
from user_code.taxi import LABEL, build_model, preprocessing_fn

__all__ = ["preprocessing_fn", "run_fn"]


def run_fn(fn_args: FnArgs) -> None:
    """Trains the model of `user_code.taxi`, and exports it so that TFMA finds the label."""
    data = TrainingData(fn_args, LABEL)
    model = build_model(data, data.hparams)
    model.fit(
        data.train,
        validation_data=data.evaluation,
        epochs=data.hparams["epochs"],
        callbacks=[data.tensorboard()],
        verbose=0,
    )
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    served = _Served(model, transform)
    tf.saved_model.save(
        served,
        fn_args.serving_model_dir,
        signatures={"serving_default": served.serve, "transform_features": served.transform},
    )


class _Served(tf.Module):
    def __init__(self, model: tf.keras.Model, transform: tft.TFTransformOutput) -> None:
        super().__init__()
        self.model = model
        self.layer = transform.transform_features_layer()
        self._spec = transform.raw_feature_spec()
        examples = [tf.TensorSpec([None], tf.string, name="examples")]
        self.serve = tf.function(self._serve, input_signature=examples)
        self.transform = tf.function(self._transform, input_signature=examples)

    def _serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = self._transform(examples)
        columns.pop(LABEL)
        return {"predictions": self.model(columns, training=False)}

    def _transform(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(self.layer(tf.io.parse_example(examples, self._spec)))
