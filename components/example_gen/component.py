"""ExampleGen: files become the rows of an Examples artifact."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Process

from components.example_gen.driver import Driver
from components.example_gen.executor import Executor
from components.example_gen.source import IngestConfig


class ExampleGenSpec(ComponentSpec):
    """Input, output and parameter of ExampleGen."""

    PARAMETERS = {"source": ExecutionParameter(type=str)}
    INPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema, optional=True)}
    OUTPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    TYPE_ANNOTATION = Process


class ExampleGen(base_component.BaseComponent):
    """Reads CSV, Parquet or TFRecord files, types, cleans and splits their rows.

    Writes `Split-<name>/` as Parquet of list columns (or as tf.Example), and `rejects.parquet`
    (file, line, reason, text) if a row could not be read. The artifact's custom properties count
    the rows: rows_in = rows_rejected + rows_gap + the sum of rows_<split>. Where `eval` has
    files of its own, rows_eval_in_train counts its rows that are equal to a row to train on.

    With a schema, columns get its types: rows to predict are read as those to train on were. A
    value that does not fit rejects its row.

    It runs again only if a file, the schema, a span, the configuration or the code of the clean
    function has changed: its driver puts fingerprints of them into the cache key.

    Example:
        example_gen = ExampleGen(IngestConfig(CsvSource(("data/census",), columns=COLUMNS)))
    """

    SPEC_CLASS = ExampleGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, config: IngestConfig, schema: channel.BaseChannel | None = None) -> None:
        """Makes the node.

        Args:
          config: what to read and how.
          schema: types of the columns whose type the config leaves open.
        """
        examples = channel.Channel(type=standard_artifacts.Examples)
        spec = ExampleGenSpec(source=config.to_json(), schema=schema, examples=examples)
        super().__init__(spec=spec)
