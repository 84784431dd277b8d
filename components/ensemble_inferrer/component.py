"""EnsembleInferrer: runs an ensemble over all images of examples."""

import json
from collections.abc import Mapping

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.bulk_inferrer.driver import Driver
from components.ensemble_inferrer.executor import Executor
from components.errors import BeamfleetError


class EnsembleInferrerSpec(ComponentSpec):
    """Inputs, outputs and parameters of the EnsembleInferrer."""

    PARAMETERS = {
        "push_destination": ExecutionParameter(type=str),
        "columns": ExecutionParameter(type=str),
        "max_failed_share": ExecutionParameter(type=float),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {"inference_result": ChannelParameter(type=standard_artifacts.InferenceResult)}


class EnsembleInferrer(base_component.BaseComponent):
    """Predicts all splits of image Examples with an ensemble, by Beam's RunInference.

    With a `push_destination` the version that is current when the node starts predicts, otherwise
    the `model`. Before the first push the result is empty, with the custom property `skipped` in
    words. The folder of the InferenceResult is described in infer.py; its custom properties are
    rows_in, rows, rows_failed and model_version.

    Example:
        inferrer = EnsembleInferrer(
            examples=example_gen.outputs["examples"],
            model=importer.outputs["model"],
            columns={"captions": "rank"},
        )
    """

    SPEC_CLASS = EnsembleInferrerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        examples: channel.BaseChannel,
        columns: Mapping[str, str],
        model: channel.BaseChannel | None = None,
        push_destination: str = "",
        max_failed_share: float = 0.05,
    ) -> None:
        """Makes the node.

        Args:
          examples: Examples of images, as ImageExampleGen writes them.
          columns: Result column -> stage whose predictions it holds.
          model: Model, an ensemble; not with a `push_destination`.
          push_destination: The pushed directory that the current version is taken from.
          max_failed_share: Share of images that may fail in the models; above it the node fails.
        """
        if bool(push_destination) == (model is not None):
            raise BeamfleetError("EnsembleInferrer needs either a model or a push_destination")
        if not columns:
            raise BeamfleetError("EnsembleInferrer needs the columns that its result shall have")
        if not 0 <= max_failed_share <= 1:
            raise BeamfleetError(f"max_failed_share is between 0 and 1, not {max_failed_share}")
        spec = EnsembleInferrerSpec(
            examples=examples,
            model=model,
            push_destination=push_destination,
            columns=json.dumps(dict(columns), sort_keys=True),
            max_failed_share=float(max_failed_share),
            inference_result=channel.Channel(type=standard_artifacts.InferenceResult),
        )
        super().__init__(spec=spec)
