"""ExampleValidator: statistics that do not fit the schema stop the run, or warn."""

import json
from collections.abc import Mapping

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Process

from components.example_validator.executor import Executor


class ExampleValidatorSpec(ComponentSpec):
    """Inputs, output and parameter of ExampleValidator."""

    PARAMETERS = {
        "on_anomaly": ExecutionParameter(type=str),
        "drift": ExecutionParameter(type=str),
        "skew": ExecutionParameter(type=str),
    }
    INPUTS = {
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "previous_statistics": ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
        "serving_statistics": ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
    }
    OUTPUTS = {"anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies)}
    TYPE_ANNOTATION = Process


class ExampleValidator(base_component.BaseComponent):
    """Writes the same files as the stock ExampleValidator, and acts on what it finds.

    The custom property `anomalies` counts them, `distances` has by split and column how far the
    rows are from those of the span before and from those to predict. A node that stops leaves its
    files where its error says, but TFX publishes no artifact of a failed node.

    Example:
        validator = ExampleValidator(
            statistics=statistics_gen.outputs["statistics"],
            schema=schema_gen.outputs["schema"],
            on_anomaly="warn",
        )
    """

    SPEC_CLASS = ExampleValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        statistics: channel.BaseChannel,
        schema: channel.BaseChannel,
        on_anomaly: str = "stop",
        *,
        drift: Mapping[str, float] | None = None,
        skew: Mapping[str, float] | None = None,
        previous_statistics: channel.BaseChannel | None = None,
        serving_statistics: channel.BaseChannel | None = None,
    ) -> None:
        """Makes the node.

        Args:
          statistics: ExampleStatistics of the rows.
          schema: Schema to hold them against.
          on_anomaly: "stop" fails the node, "warn" logs and counts.
          drift: Column -> largest distance from `previous_statistics`; see `with_comparators`.
          skew: Column -> largest distance from `serving_statistics`.
          previous_statistics: ExampleStatistics of the span before; without a split: there is none.
          serving_statistics: ExampleStatistics of rows to predict.

        Raises:
          ValueError: on_anomaly is neither.
        """
        if on_anomaly not in ("stop", "warn"):
            raise ValueError(f"on_anomaly must be 'stop' or 'warn', got {on_anomaly!r}")
        spec = ExampleValidatorSpec(
            statistics=statistics,
            schema=schema,
            on_anomaly=on_anomaly,
            drift=json.dumps(dict(drift or {}), sort_keys=True),
            skew=json.dumps(dict(skew or {}), sort_keys=True),
            previous_statistics=previous_statistics,
            serving_statistics=serving_statistics,
            anomalies=channel.Channel(type=standard_artifacts.ExampleAnomalies),
        )
        super().__init__(spec=spec)
