"""OnlinePredictor: requests to a running model server, with features from the online store."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_streamer.artifact import FeatureStream
from components.online_predictor.driver import Driver
from components.online_predictor.executor import Executor


class OnlinePredictorSpec(ComponentSpec):
    """Inputs, output and parameters of OnlinePredictor."""

    PARAMETERS = {
        "source": ExecutionParameter(type=str),
        "push_destination": ExecutionParameter(type=str),
        "requests": ExecutionParameter(type=str),
    }
    INPUTS = {
        "stream": ChannelParameter(type=FeatureStream),
        "pushed_model": ChannelParameter(type=standard_artifacts.PushedModel),
    }
    OUTPUTS = {"inference_result": ChannelParameter(type=standard_artifacts.InferenceResult)}


class OnlinePredictor(base_component.BaseComponent):
    """Asks a model server about each row, at the row's own time, with keys and request columns.

    The server looks the features up in the online store. `predictions.parquet` has the rows with
    prediction, probability (of the last class) and error; the custom properties are rows_in, rows,
    rows_failed, p50_ms, p99_ms, model_version, or `skipped` where nothing is pushed.

    Example:
        predictor = OnlinePredictor(config, directory, "data/newest", stream, pushed_model)
    """

    SPEC_CLASS = OnlinePredictorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        config: FeatureExamplesConfig,
        push_destination: str,
        requests: str,
        stream: channel.BaseChannel,
        pushed_model: channel.BaseChannel,
    ) -> None:
        """Makes the node.

        Args:
          config: Of the Examples that the model was trained with.
          push_destination: Pushed directory whose current version predicts.
          requests: Parquet file or folder.
          stream: FeatureStream that the online store has caught up with.
          pushed_model: PushedModel of the Pusher that this node has to wait for.
        """
        spec = OnlinePredictorSpec(
            source=config.to_json(),
            push_destination=push_destination,
            requests=requests,
            stream=stream,
            pushed_model=pushed_model,
            inference_result=channel.Channel(type=standard_artifacts.InferenceResult),
        )
        super().__init__(spec=spec)
