"""The text of a schema file: read, and changed without losing what people wrote into it."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.curated_schema.changes import as_text, block
from components.errors import BeamfleetError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

_TOKEN = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{}<>]""")
_OPENING = re.compile(r"(feature|string_domain)\s*:?\s*\Z")


def parse_schema(text: str, place: str) -> "Schema":
    """Reads a text proto.

    Raises:
      BeamfleetError: it is none.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        return text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise BeamfleetError(f"{place} is not a schema in text form: {error}") from None


def edited(text: str, before: "Schema", after: "Schema") -> str:
    """The file's text with another schema: comments and order stay where nothing changes.

    Args:
      text: of the file.
      before: what it says.
      after: what it shall say.
    """
    changed = text
    for name in ("feature", "string_domain"):
        old = {m.name: m for m in getattr(before, name)}
        new = {m.name: m for m in getattr(after, name)}
        for start, end, key in reversed(list(_blocks(changed, name))):
            if key in old and new.get(key) != old[key]:
                written = block(name, new[key]).rstrip("\n") if key in new else ""
                changed = changed[:start] + written + changed[end:]
        added = [block(name, message) for key, message in new.items() if key not in old]
        changed = _inserted(changed, name, "".join(added))
    # Whatever people may have written that is not understood here: the schema is what counts.
    return changed if _says(changed, after) else as_text(after)


def _says(text: str, schema: "Schema") -> bool:
    try:
        return bool(parse_schema(text, "") == schema)
    except BeamfleetError:
        return False


def _inserted(text: str, name: str, added: str) -> str:
    """Puts blocks behind the last one of their name, or at the end."""
    if not added:
        return text
    ends = [end for _, end, _ in _blocks(text, name)]
    at = ends[-1] if ends else len(text.rstrip())
    return f"{text[:at]}\n{added.rstrip()}{text[at:] or chr(10)}"


def _blocks(text: str, name: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, name within) of each block of the outermost level."""
    depth, start, opened = 0, -1, ""
    for token in _TOKEN.finditer(text):
        if token[0] in "{<":
            if depth == 0:
                found = _OPENING.search(text, 0, token.start())
                start, opened = (found.start(), found[1]) if found else (-1, "")
            depth += 1
        elif token[0] in "}>":
            depth -= 1
            if depth == 0 and opened == name:
                yield start, token.end(), _key(text[start : token.end()], name)


def _key(written: str, name: str) -> str:
    try:
        [message] = getattr(parse_schema(written, ""), name)
    except (BeamfleetError, ValueError):
        return ""
    return str(message.name)
