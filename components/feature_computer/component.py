"""FeatureComputer: definitions and events become the store of features."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.feature_computer.artifact import FeatureViews
from components.feature_computer.driver import Driver
from components.feature_computer.executor import Executor


class FeatureComputerSpec(ComponentSpec):
    """Output and parameters of FeatureComputer."""

    PARAMETERS = {
        "features": ExecutionParameter(type=str),
        "store": ExecutionParameter(type=str),
        "as_of": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"views": ChannelParameter(type=FeatureViews)}


class FeatureComputer(base_component.BaseComponent):
    """Applies the definitions of a service to the registry and computes its views.

    A definition that has changed without a new version is refused; where an expectation does not
    hold, the values of before stay. The artifact's custom properties count the events of all views:
    rows_in = rejected + filtered + later + duplicates + events; `views.json` counts those of each.

    It runs again only if a definition or a file of a source has changed, or the store is another
    one: its driver puts fingerprints of them into the cache key.

    Example:
        computer = FeatureComputer("user_code.payments.fraud", "runs/payments/features")
    """

    SPEC_CLASS = FeatureComputerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, features: str, store: str, as_of: str = "") -> None:
        """Makes the node.

        Args:
          features: Dotted path of a FeatureService or FeatureView.
          store: Folder of the store.
          as_of: Events until this time, ISO 8601; empty: all.
        """
        spec = FeatureComputerSpec(
            features=features, store=store, as_of=as_of, views=channel.Channel(type=FeatureViews)
        )
        super().__init__(spec=spec)
