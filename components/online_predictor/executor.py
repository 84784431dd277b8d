"""Executor of OnlinePredictor."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor

from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.labelled import labelled_service
from components.online_predictor.ask import ask


class Executor(base_executor.BaseExecutor):
    """Translates rows and a pushed directory into an InferenceResult."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [result] = output_dict["inference_result"]
        version = int(exec_properties["model_version"])
        if not version:
            result.set_string_custom_property("skipped", "no version was pushed yet")
            return
        service = labelled_service(FeatureExamplesConfig.from_json(exec_properties["source"]))
        assert service.labels is not None
        with tempfile.TemporaryDirectory() as folder:
            asked = ask(
                service,
                exec_properties["push_destination"],
                exec_properties["requests"],
                service.labels.event_time,
                Path(folder),
                result.uri,
            )
        for name, value in asdict(asked).items():
            if isinstance(value, int):
                result.set_int_custom_property(name, value)
            else:
                result.set_float_custom_property(name, value)
        result.set_int_custom_property("model_version", version)
