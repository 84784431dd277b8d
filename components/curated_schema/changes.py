"""How two schemas differ, column by column: in plain words and as text."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.curated_schema.columns import stage
from components.errors import BeamfleetError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

_KINDS = {"BYTES": "words", "INT": "whole numbers", "FLOAT": "numbers"}
_NAMED = 8
"""Values of a domain that are named in words; the text has all."""


@dataclass(frozen=True)
class Change:
    """What is different of one column."""

    column: str
    words: tuple[str, ...]
    """One sentence without a capital letter for each difference."""
    before: str
    """Its text proto, with the domain that it names; empty: there was no such column."""
    after: str

    def diff(self) -> str:
        """Unified diff of the two texts, without file names."""
        before, after = self.before.splitlines(), self.after.splitlines()
        return "\n".join(list(difflib.unified_diff(before, after, lineterm=""))[2:])


def schema_changes(before: "Schema", after: "Schema") -> list[Change]:
    """Column by column, in the order of the schemas; empty if they say the same."""
    old, new = ({f.name: f for f in schema.feature} for schema in (before, after))
    found = []
    for name in dict.fromkeys((*old, *new)):
        texts = (_text(before, old.get(name)), _text(after, new.get(name)))
        if texts[0] != texts[1]:
            words = tuple(_words(before, old.get(name), after, new.get(name)))
            found.append(Change(name, words, *texts))
    return found


def described(changes: Sequence[Change]) -> str:
    """All changes: each in words, then as a diff of its text."""
    return "\n".join(_described(change) for change in changes)


def _described(change: Change) -> str:
    return f"column {change.column!r}: {'; '.join(change.words)}\n{change.diff()}\n"


def with_changes(before: "Schema", after: "Schema", columns: Collection[str] | None) -> "Schema":
    """The earlier schema with some columns as they are in the later one.

    Args:
      before: stays as it is but for these columns, and the domains that they name.
      after: has the columns.
      columns: names; None: all that differ.

    Raises:
      BeamfleetError: a column does not differ.
    """
    differing = [change.column for change in schema_changes(before, after)]
    if unknown := sorted(set(columns or ()) - set(differing)):
        raise BeamfleetError(
            f"no change of {', '.join(map(repr, unknown))} is proposed; there are changes of "
            f"{', '.join(differing) or 'no column'}"
        )
    merged = type(before)()
    merged.CopyFrom(before)
    old, new = ({f.name: f for f in schema.feature} for schema in (merged, after))
    for name in differing if columns is None else columns:
        if name not in new:
            merged.feature.remove(old[name])
            continue
        (old[name] if name in old else merged.feature.add()).CopyFrom(new[name])
        if domain := _named_domain(after, new[name]):
            there = _named_domain(merged, new[name])
            (there or merged.string_domain.add()).CopyFrom(domain)
    return merged


def as_text(message: Any) -> str:
    """Text proto; words of other languages stay readable."""
    from google.protobuf import text_format

    return str(text_format.MessageToString(message, as_utf8=True))


def _text(schema: "Schema", feature: Any) -> str:
    if feature is None:
        return ""
    blocks = [("feature", feature), ("string_domain", _named_domain(schema, feature))]
    return "".join(block(name, message) for name, message in blocks if message is not None)


def block(name: str, message: Any) -> str:
    """A message as a field of the schema's text."""
    body = "".join(f"  {line}\n" for line in as_text(message).splitlines())
    return f"{name} {{\n{body}}}\n"


def _named_domain(schema: "Schema", feature: Any) -> Any:
    name = feature.domain if feature.WhichOneof("domain_info") == "domain" else ""
    return next((domain for domain in schema.string_domain if name and domain.name == name), None)


def _words(before: "Schema", old: Any, after: "Schema", new: Any) -> Iterator[str]:
    if old is None:
        yield f"new column of {_kind(new)}, {_presence(new)}{_one_of(_values(after, new))}"
        return
    if new is None:
        yield "is not in the schema any more"
        return
    said = False
    for text in (
        _stage_words(old, new),
        _type_words(old, new),
        _presence_words(old, new),
        "" if old.type != new.type else _value_words(_values(before, old), _values(after, new)),
        _count_words(old, new),
    ):
        if text:
            said = True
            yield text
    if not said:
        yield "other settings, see the text"


def _stage_words(old: Any, new: Any) -> str:
    if old.lifecycle_stage == new.lifecycle_stage:
        return ""
    if stage(new) == "DEPRECATED":
        return "no row has it: DEPRECATED, neither required nor trained on any more"
    return f"{stage(old)} becomes {stage(new)}"


def _type_words(old: Any, new: Any) -> str:
    return f"{_kind(old)} become {_kind(new)}" if old.type != new.type else ""


def _presence_words(old: Any, new: Any) -> str:
    before, after = _presence(old), _presence(new)
    return f"{after} (was: {before})" if before != after else ""


def _count_words(old: Any, new: Any) -> str:
    before, after = _counts(old), _counts(new)
    return f"{after} a row (was: {before})" if before != after else ""


def _value_words(before: Mapping[str, None] | None, after: Mapping[str, None] | None) -> str:
    if before is None or after is None:
        if before is not None:
            return f"any value (was: one of {len(before):,})"
        return "" if after is None else f"only {_listed(list(after))} (was: any value)"
    added, gone = ([v for v in a if v not in b] for a, b in ((after, before), (before, after)))
    parts = [f"{word} {_listed(v)}" for word, v in (("new", added), ("without", gone)) if v]
    return f"values: {', '.join(parts)}" if parts else ""


def _kind(feature: Any) -> str:
    from tensorflow_metadata.proto.v0 import schema_pb2

    name = str(schema_pb2.FeatureType.Name(feature.type))
    return f"{_KINDS[name]} ({name})" if name in _KINDS else name


def _presence(feature: Any) -> str:
    share = feature.presence.min_fraction
    if share >= 1:
        return "in every row"
    if share > 0:
        return f"in at least {100 * share:.4g}% of the rows"
    return "in some row" if feature.presence.min_count else "may be missing"


def _counts(feature: Any) -> str:
    kind = feature.WhichOneof("shape_type")
    if kind != "value_count":
        return "any number of values" if kind is None else "values of a shape"
    low, high = feature.value_count.min, feature.value_count.max
    return f"{low} to {high} values" if low != high else f"{low} value" + "s" * (low != 1)


def _values(schema: "Schema", feature: Any) -> Mapping[str, None] | None:
    """The words that a column may hold, in order; None: any."""
    domain = _named_domain(schema, feature)
    if feature.WhichOneof("domain_info") == "string_domain":
        domain = feature.string_domain
    return None if domain is None else dict.fromkeys(domain.value)


def _one_of(values: Mapping[str, None] | None) -> str:
    return "" if values is None else f", one of {_listed(list(values))}"


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - _NAMED:,} more" if len(values) > _NAMED else ""
    return ", ".join(map(repr, values[:_NAMED])) + more
