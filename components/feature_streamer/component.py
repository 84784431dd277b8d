"""FeatureStreamer: features are brought up to date by their streams."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.feature_computer.artifact import FeatureViews
from components.feature_streamer.artifact import FeatureStream
from components.feature_streamer.driver import Driver
from components.feature_streamer.executor import Executor


class FeatureStreamerSpec(ComponentSpec):
    """Inputs, output and parameters of FeatureStreamer."""

    PARAMETERS = {
        "features": ExecutionParameter(type=str),
        "store": ExecutionParameter(type=str),
        "as_of": ExecutionParameter(type=str),
        "until": ExecutionParameter(type=str),
    }
    INPUTS = {"views": ChannelParameter(type=FeatureViews)}
    OUTPUTS = {"stream": ChannelParameter(type=FeatureStream)}


class FeatureStreamer(base_component.BaseComponent):
    """Fills the online store with what held at a time, then streams what came since.

    In the end what the stream said is compared with a backfill of the same time: where they differ
    by more than the events that were too late for the stream, the node fails. `stream.json` and the
    artifact's custom properties count the lines, rows = events + late + duplicates + rejected +
    filtered, and the points in time that were compared.

    It runs again only if a definition, or a file of a history or of a stream, has changed, or
    if a store was emptied.

    Example:
        streamer = FeatureStreamer(
            "user_code.payments.fraud", store, "2024-05-22", "2024-05-24T18:00Z", views
        )
    """

    SPEC_CLASS = FeatureStreamerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self, features: str, store: str, as_of: str, until: str, views: channel.BaseChannel
    ) -> None:
        """Makes the node.

        Args:
          features: Dotted path of a FeatureService or FeatureView.
          store: Folder of the store.
          as_of: Where the streams begin, ISO 8601.
          until: Where they end.
          views: FeatureViews that were computed as of then.
        """
        spec = FeatureStreamerSpec(
            features=features,
            store=store,
            as_of=as_of,
            until=until,
            views=views,
            stream=channel.Channel(type=FeatureStream),
        )
        super().__init__(spec=spec)
