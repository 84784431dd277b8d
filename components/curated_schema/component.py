"""CuratedSchema: a schema file that people keep becomes a Schema artifact."""

import hashlib

from apache_beam.io.filesystems import FileSystems
from tfx.components.schema_gen.import_schema_gen.executor import Executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Process

from components.errors import BeamfleetError


class CuratedSchemaSpec(ComponentSpec):
    """Output and parameters of CuratedSchema."""

    PARAMETERS = {
        "schema_file": ExecutionParameter(type=str),
        "sha256": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}
    TYPE_ANNOTATION = Process


class CuratedSchema(base_component.BaseComponent):
    """Stock ImportSchemaGen, which sees only the file's path: here an edited file is not cached.

    Example:
        schema = CuratedSchema("schema/schema.pbtxt")
    """

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, schema_file: str) -> None:
        """Makes the node.

        Args:
          schema_file: Schema as a text proto, on any Beam filesystem.

        Raises:
          BeamfleetError: it cannot be read.
        """
        try:
            with FileSystems.open(schema_file) as file:
                digest = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            raise BeamfleetError(f"schema {schema_file} cannot be read: {error}") from None
        spec = CuratedSchemaSpec(
            schema_file=schema_file,
            sha256=digest,
            schema=channel.Channel(type=standard_artifacts.Schema),
        )
        super().__init__(spec=spec)
