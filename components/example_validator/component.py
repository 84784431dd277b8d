"""ExampleValidator: statistics that do not fit the schema stop the run, or warn."""

import json
from collections.abc import Mapping

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Process

from components.example_validator.executor import Executor
from components.example_validator.expressions import Checks


class ExampleValidatorSpec(ComponentSpec):
    """Inputs, output and parameter of ExampleValidator."""

    PARAMETERS = {
        "on_anomaly": ExecutionParameter(type=str),
        "drift": ExecutionParameter(type=str),
        "skew": ExecutionParameter(type=str),
        "checks": ExecutionParameter(type=str),
        "reviewed": ExecutionParameter(type=int),
    }
    INPUTS = {
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
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
    rows are from those of the span before and from those to predict, `proposed` the columns of a
    reviewed schema that would have to change (`proposal/`). TFX publishes no artifact of a failed
    node and removes its files: one that stops leaves a copy where its error says (`stopped/`).

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
        checks: Checks | None = None,
        examples: channel.BaseChannel | None = None,
        reviewed: bool = False,
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
          checks: SQL expressions that have to be true.
          examples: Examples in Parquet that `statistics` describes; for `checks`.
          reviewed: People keep the schema: what would have to change is proposed.

        Raises:
          ValueError: on_anomaly is neither, or there are checks and no examples.
        """
        if on_anomaly not in ("stop", "warn"):
            raise ValueError(f"on_anomaly must be 'stop' or 'warn', got {on_anomaly!r}")
        if checks and examples is None:
            raise ValueError("checks need the examples")
        spec = ExampleValidatorSpec(
            statistics=statistics,
            schema=schema,
            on_anomaly=on_anomaly,
            drift=json.dumps(dict(drift or {}), sort_keys=True),
            skew=json.dumps(dict(skew or {}), sort_keys=True),
            checks=checks.to_json() if checks else "",
            reviewed=int(reviewed),
            examples=examples if checks else None,
            previous_statistics=previous_statistics,
            serving_statistics=serving_statistics,
            anomalies=channel.Channel(type=standard_artifacts.ExampleAnomalies),
        )
        super().__init__(spec=spec)
