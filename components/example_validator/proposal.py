"""What an ExampleAnomalies artifact proposes to change of the reviewed schema.

In its folder `proposal`: `schema.pbtxt`, the schema that the data fit, and `changes.diff`, how it
differs, in words and as text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.curated_schema.changes import Change, as_text, described, schema_changes
from components.curated_schema.columns import is_used, stage
from components.curated_schema.propose import propose_schema
from components.curated_schema.text import parse_schema
from components.files import write_whole

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

_FOLDER, _SCHEMA, _DIFF = "proposal", "schema.pbtxt", "changes.diff"


def write_proposal(uri: str, schema: "Schema", statistics: Sequence[str]) -> list[Change]:
    """Writes the proposal, if the data do not fit the schema; gives what it changes.

    Args:
      uri: folder of the artifact.
      schema: the reviewed one.
      statistics: files of every split.
    """
    proposed = propose_schema(schema, statistics)
    changes = schema_changes(schema, proposed)
    if changes:
        folder = f"{uri}/{_FOLDER}"
        write_whole(f"{folder}/{_SCHEMA}", as_text(proposed).encode())
        write_whole(f"{folder}/{_DIFF}", described(changes).encode())
    return changes


def read_proposal(uri: str) -> "Schema | None":
    """The schema that an artifact proposes; None: the data fitted."""
    file = Path(uri, _FOLDER, _SCHEMA)
    return parse_schema(file.read_text(encoding="utf-8"), str(file)) if file.exists() else None


def unused_columns(schema: "Schema", columns: Sequence[str]) -> list[str]:
    """What to say of columns that are in the data, and that the schema has out of use."""
    return [
        f"column {feature.name!r} is {stage(feature)} in the schema and still in the data: it is "
        "not validated, and no model is trained on it"
        for feature in schema.feature
        if not is_used(feature) and feature.name in columns
    ]
