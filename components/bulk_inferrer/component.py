"""BulkInferrer: predicts all rows of examples with the pushed entity models."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.driver import Driver
from components.bulk_inferrer.executor import Executor
from components.errors import BeamfleetError


class BulkInferrerSpec(ComponentSpec):
    """Inputs, outputs and parameters of the BulkInferrer."""

    PARAMETERS = {
        "push_destination": ExecutionParameter(type=str),
        "config": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "pushed_model": ChannelParameter(type=standard_artifacts.PushedModel, optional=True),
        "model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {"inference_result": ChannelParameter(type=standard_artifacts.InferenceResult)}


class BulkInferrer(base_component.BaseComponent):
    """Predicts all splits of the examples, row by row of any entity.

    With a `push_destination` the version that is current when the node starts predicts, otherwise
    the `model`. Rows of an entity without a model go to the fallback and say so. Rows that fail go
    to dead letters with entity, reason, file and row. Before the first push the result is empty,
    with the custom property `skipped` in words.

    The InferenceResult's folder holds predictions/*.parquet, dead_letters/*.parquet and
    summary.json (see infer.py); its custom properties are rows_in, rows, rows_failed,
    rows_fallback and model_version. The stock BulkInferrer writes PredictionLog records, a
    TensorFlow Serving request with the answer of a SavedModel's signature; entity models have
    neither, and no stock component reads them, so there are none here.

    Example:
        inferrer = BulkInferrer(
            examples=unlabelled.outputs["examples"],
            pushed_model=pusher.outputs["pushed_model"],
            push_destination="/models/census",
            output_columns=["id", "education"],
        )
    """

    SPEC_CLASS = BulkInferrerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        examples: channel.BaseChannel,
        model: channel.BaseChannel | None = None,
        pushed_model: channel.BaseChannel | None = None,
        push_destination: str | None = None,
        output_columns: Sequence[str] = (),
        private_columns: Sequence[str] = (),
        payload: bool = False,
        retain_days: int = InferenceConfig.retain_days,
        max_failed_share: float = InferenceConfig.max_failed_share,
    ) -> None:
        """Makes the node; the last five parameters are described in InferenceConfig.

        Args:
          examples: Examples to predict.
          model: Model, read only without a `push_destination`.
          pushed_model: PushedModel of the Pusher that this node has to wait for.
          push_destination: The pushed directory that the current version is taken from.
        """
        if not push_destination and (model is None or pushed_model is not None):
            raise BeamfleetError(
                "BulkInferrer needs the push_destination that holds the models, or a model"
            )
        config = InferenceConfig(
            tuple(output_columns), tuple(private_columns), payload, retain_days, max_failed_share
        )
        spec = BulkInferrerSpec(
            examples=examples,
            # Not read, and would only have the node run again when nothing else was pushed.
            model=None if push_destination else model,
            pushed_model=pushed_model,
            push_destination=push_destination or "",
            config=json.dumps(asdict(config), sort_keys=True),
            inference_result=channel.Channel(type=standard_artifacts.InferenceResult),
        )
        super().__init__(spec=spec)
