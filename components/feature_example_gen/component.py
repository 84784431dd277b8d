"""FeatureExampleGen: labels with the features of their time become Examples."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Process

from components.feature_computer.artifact import FeatureViews
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.driver import Driver
from components.feature_example_gen.executor import Executor


class FeatureExampleGenSpec(ComponentSpec):
    """Input, output and parameters of FeatureExampleGen."""

    PARAMETERS = {
        "source": ExecutionParameter(type=str),
        "store": ExecutionParameter(type=str),
    }
    INPUTS = {"views": ChannelParameter(type=FeatureViews)}
    OUTPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    TYPE_ANNOTATION = Process


class FeatureExampleGen(base_component.BaseComponent):
    """Joins labels with the features of their time, and splits them by time.

    Makes a training set in the store, whose number is the custom property `training_set`, and
    writes it as ExampleGen does: `Split-<name>/` as Parquet of list columns, `rejects.parquet` if a
    label could not be used. Keys and times are not among the columns. The custom properties count
    the rows, rows_in = rows_rejected + rows_gap + the sum of rows_<split>, and say what they are
    of: feature_service, feature_version, feature_views, definition, as_of.

    It runs again only if the definition or a file of the labels or of a source has changed: its
    driver puts fingerprints of them into the cache key.

    Example:
        config = FeatureExamplesConfig(
            "user_code.payments.fraud",
            splits={"eval": "2024-05-15"},
            as_of="2024-05-22",
        )
        example_gen = FeatureExampleGen(config, "runs/payments/features", computer.outputs["views"])
    """

    SPEC_CLASS = FeatureExampleGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self, config: FeatureExamplesConfig, store: str, views: channel.BaseChannel
    ) -> None:
        """Makes the node.

        Args:
          config: Which labels, features and splits.
          store: Folder of the store of features.
          views: FeatureViews that have been computed in it.
        """
        spec = FeatureExampleGenSpec(
            source=config.to_json(),
            store=store,
            views=views,
            examples=channel.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
