"""Executor of the Trainer."""

import json
from typing import Any

from tfx import types
from tfx.components.trainer.executor import GenericExecutor

from components.native import shield_triton
from components.saved_model.layout import saved_model_at
from components.saved_model.write import describe


class Executor(GenericExecutor):
    """TFX's, then a description of the SavedModel."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        shield_triton()  # the user's module may import PyTorch, and TFX has imported TensorFlow
        super().Do(input_dict, output_dict, exec_properties)
        [model] = output_dict["model"]
        config = json.loads(exec_properties["custom_config"])
        folder = saved_model_at(model.uri)
        describe(folder, config["label"], config["task"], config["classes"])
