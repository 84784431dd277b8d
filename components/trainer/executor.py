"""Executor of the Trainer."""

import json
from typing import Any

from tfx import types
from tfx.components.trainer.executor import GenericExecutor
from tfx.types import artifact_utils

from components.native import shield_triton
from components.saved_model.layout import saved_model_at
from components.saved_model.write import describe
from components.trainer.start import check_start, notes_on_start


class Executor(GenericExecutor):
    """TFX's, then a description of the SavedModel."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        shield_triton()  # the user's module may import PyTorch, and TFX has imported TensorFlow
        base = input_dict.get("base_model")
        start = artifact_utils.get_single_uri(base) if base else ""
        if start:
            check_start(start)
        super().Do(input_dict, output_dict, exec_properties)
        [model] = output_dict["model"]
        config = json.loads(exec_properties["custom_config"])
        folder = saved_model_at(model.uri)
        describe(folder, config["label"], config["task"], config["classes"])
        model.set_string_custom_property("candidate", config["candidate"])
        if config["warm_start"]:
            model.set_string_custom_property("warm_start", start)
            [model_run] = output_dict["model_run"]
            notes = notes_on_start(start, folder, model_run.uri) if start else []
            model.set_string_custom_property("notes", "; ".join(notes))
