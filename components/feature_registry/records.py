"""What the registry keeps of a declaration."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from components.errors import BeamfleetError
from components.feature_registry.reading_order import with_all_it_reads
from components.features.definition import Declared, definition, fingerprint_of
from components.features.durations import as_text
from components.features.entity import Entity
from components.features.group import FeatureGroup
from components.features.names import FeatureType
from components.features.on_demand import OnDemandView
from components.features.service import FeatureService
from components.features.source import Source
from components.features.view import FeatureView, Selection

KINDS = {
    "entity": "entity",
    "source": "source",
    "view": "feature view",
    "group": "feature group",
    "on_demand": "on-demand view",
    "service": "feature service",
}
"""Kind -> in words, in the order in which they are listed."""

UNVERSIONED = ("entity", "source")
"""Their versions are counted by the registry: a view that reads a changed one needs a new one."""


@dataclass(frozen=True)
class Use:
    """That a declaration reads another one."""

    kind: str
    name: str
    version: int
    """0: whichever has this fingerprint; of what declares no version."""
    features: tuple[str, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True)
class Record:
    """One version of a declaration."""

    kind: str
    """One of KINDS."""
    name: str
    version: int
    owner: str
    description: str
    schema: tuple[tuple[str, str], ...]
    """Feature (of an entity: key) and type."""
    facts: dict[str, Any] = field(hash=False)
    """The rest, for people: JSON values."""
    fingerprint: str
    definition: dict[str, Any] = field(hash=False)
    """See `components.features.definition`."""
    uses: tuple[Use, ...] = ()
    applied: str = ""
    """When it was recorded: ISO 8601, UTC."""
    changed: str = ""
    """When its owner, description or another fact changed last."""

    @property
    def label(self) -> str:
        """`feature view 'card_spend' version 3`."""
        return f"{KINDS[self.kind]} {self.name!r} version {self.version}"


@dataclass(frozen=True)
class Training:
    """That a model learned from a split of a service."""

    service: str
    version: int
    split_version: int
    model: str
    """Place of the model, or the name of what has it."""
    run: str
    """Name of the run; may be empty."""
    linked: str
    """When it was recorded: ISO 8601, UTC."""


def records_of(things: Iterable[Declared]) -> list[Record]:
    """What is to be recorded of declarations, and of all that they read, which comes first.

    Raises:
      BeamfleetError: one cannot be fingerprinted, or is no declaration.
    """
    ordered = with_all_it_reads(things)  # keeps them alive: an id is one only so long
    records, known = [], dict[int, str]()
    for thing in ordered:
        records.append(record_of(thing, known))
        known[id(thing)] = records[-1].fingerprint
    return records


def record_of(thing: Declared, known: Mapping[int, str]) -> Record:
    """What is to be recorded of a declaration.

    Args:
      known: See `definition`.

    Raises:
      BeamfleetError: it cannot be fingerprinted, or is no declaration.
    """
    defined = definition(thing, known)
    common: dict[str, Any] = {
        "name": thing.name,
        "version": getattr(thing, "version", 0),
        "owner": getattr(thing, "owner", ""),
        "description": thing.description,
        "definition": defined,
        "fingerprint": fingerprint_of(defined),
    }
    match thing:
        case Entity():
            types = zip(thing.keys, (one.__name__ for one in thing.types), strict=True)
            return Record("entity", schema=tuple(types), facts={}, **common)
        case Source():
            return Record("source", schema=(), facts=_source_facts(thing), **common)
        case FeatureView():
            return _view_record(thing, common)
        case FeatureGroup():
            return _group_record(thing, common)
        case OnDemandView():
            facts = {"request": _pairs(thing.request)}
            uses = tuple(_use(one) for one in thing.inputs)
            schema = _schema(thing.schema)
            return Record("on_demand", schema=schema, facts=facts, uses=uses, **common)
        case FeatureService():
            return _service_record(thing, common)
    raise BeamfleetError(f"{thing!r} is no declaration of features")


def _source_facts(source: Source) -> dict[str, Any]:
    facts = {
        "event_time": source.event_time,
        "created": source.created,
        "id": source.id,
        "batch": f"{type(source.batch).__name__} {source.batch.path}",
    }
    if source.stream is None:
        return facts
    place = getattr(source.stream, "topic", None) or getattr(source.stream, "path", "")
    return facts | {"stream": f"{type(source.stream).__name__} {place}"}


def _view_record(view: FeatureView, common: dict[str, Any]) -> Record:
    transformer = view.transformer
    read = dict(zip(view.schema, transformer.aggregators, strict=True))
    facts = {
        "keys": list(view.keys),
        "entities": [one.name for one in view.entities],
        "sources": [one.name for one in view.sources],
        "window": str(transformer.window),
        "lateness": as_text(transformer.window.lateness_us),
        "aggregators": {name: type(one).__name__ for name, one in read.items()},
        "columns": {name: one.of for name, one in read.items() if one.of},
        "ttl": None if view.ttl_us is None else as_text(view.ttl_us),
        "timestamp_field": view.timestamp_field or view.sources[0].event_time,
        "online": view.online,
        "expectations": [_said(one) for one in view.expectations],
    }
    uses = (*_parts("entity", view.entities), *_parts("source", view.sources))
    return Record("view", schema=_schema(view.schema), facts=facts, uses=uses, **common)


def _group_record(group: FeatureGroup, common: dict[str, Any]) -> Record:
    facts = {
        "keys": list(group.keys),
        "entities": [one.name for one in group.entities],
        "sources": [],
        "ttl": None if group.ttl_us is None else as_text(group.ttl_us),
        "timestamp_field": group.event_time,
        "online": group.online,
    }
    uses = tuple(_parts("entity", group.entities))
    return Record("group", schema=_schema(group.schema), facts=facts, uses=uses, **common)


def _service_record(service: FeatureService, common: dict[str, Any]) -> Record:
    facts = {
        "label": service.label,
        "labels": service.labels.name if service.labels else None,
        "request": _pairs(service.request),
        "transformations": {
            name: type(one).__name__ for name, one in service.transformations.items()
        },
        "boundary": service.boundary,
        "offset": as_text(service.offset_us),
    }
    uses = [_use(one) for one in service.views]
    uses += [
        Use("on_demand", one.name, one.version, tuple(one.schema)) for one in service.on_demand
    ]
    uses += _parts("source", [service.labels] if service.labels else [])
    return Record(
        "service", schema=_schema(service.schema), facts=facts, uses=tuple(uses), **common
    )


def _parts(kind: str, things: Iterable[Entity | Source]) -> list[Use]:
    return [Use(kind, one.name, 0, (), fingerprint_of(definition(one))) for one in things]


def _use(one: Selection) -> Use:
    kind = "group" if isinstance(one.view, FeatureGroup) else "view"
    return Use(kind, one.view.name, one.view.version, one.features)


def _schema(schema: Any) -> tuple[tuple[str, str], ...]:
    types: dict[str, FeatureType] = schema
    return tuple((name, kind.__name__) for name, kind in types.items())


def _pairs(schema: Any) -> list[list[str]]:
    return [list(pair) for pair in _schema(schema)]  # as JSON gives them back


def _said(expectation: Any) -> str:
    given = ((one.name, getattr(expectation, one.name)) for one in fields(expectation))
    words = ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
    return f"{type(expectation).__name__}({words})"
