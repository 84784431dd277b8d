"""Column types from a schema, so that ExampleGen reads what the schema promises."""

from apache_beam.io.filesystems import FileSystems
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.curated_schema.columns import is_used
from components.errors import BeamfleetError

_TYPES = {schema_pb2.BYTES: "string", schema_pb2.INT: "int64", schema_pb2.FLOAT: "double"}


def types_of_schema(path: str) -> dict[str, str]:
    """Returns column -> type of a TFMD schema in text form (`schema.pbtxt`).

    Columns out of use (DEPRECATED) are not among them: their values reject no row.

    Raises:
      BeamfleetError: the file is missing or no schema.
    """
    schema = schema_pb2.Schema()
    try:
        with FileSystems.open(path) as file:
            text_format.Parse(file.read().decode(), schema)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise BeamfleetError(f"{path} is not a schema in text form: {error}") from error
    return {f.name: _TYPES[f.type] for f in schema.feature if f.type in _TYPES and is_used(f)}
