"""What a declaration means, as JSON values, and its fingerprint.

It changes when the values may change: keys, columns, window, aggregators, schema, ttl, code. It
does not change with owner, description, expectations, version, the place of the data, or `online`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from components.errors import BeamfleetError
from components.features.code import WRITTEN, described_value
from components.features.entity import Entity
from components.features.group import FeatureGroup
from components.features.names import FeatureType
from components.features.on_demand import OnDemandView
from components.features.service import FeatureService
from components.features.source import Source
from components.features.view import FeatureView, Selection
from components.features.window import Rolling, Session, Tumbling, Window

Declared = Entity | Source | FeatureView | FeatureGroup | OnDemandView | FeatureService


def definition(thing: Declared, known: Mapping[int, str] | None = None) -> dict[str, Any]:
    """What the declaration means, as JSON values.

    Of functions, the text under `#written` is for people and does not count; their syntax trees do.

    Args:
      known: Fingerprints of declarations that it reads, by `id`: they need not be made again.

    Raises:
      BeamfleetError: it is none, or the code or a value that it reads cannot be told.
    """
    match thing:
        case Entity():
            return {"entity": thing.name, "keys": _types(dict(zip(thing.keys, thing.types)))}  # noqa: B905
        case Source():
            times = {"event_time": thing.event_time, "created": thing.created, "id": thing.id}
            return {"source": thing.name, **times}
        case FeatureView():
            return _view(thing)
        case FeatureGroup():
            return _group(thing)
        case OnDemandView():
            return _on_demand(thing, known or {})
        case FeatureService():
            return _service(thing, known or {})
    raise BeamfleetError(
        f"{thing!r} is a {type(thing).__name__}, expected an Entity, Source, feature view, "
        "feature group, on-demand view or feature service"
    )


def fingerprint(thing: Declared) -> str:
    """SHA-256 of what the declaration means; the same in every process, for Python 3.11 to 3.13.

    Raises:
      BeamfleetError: see `definition`.
    """
    return fingerprint_of(definition(thing))


def fingerprint_of(defined: dict[str, Any]) -> str:
    """The fingerprint of what `definition` gave."""
    text = json.dumps(_counting(defined), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _counting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _counting(one) for key, one in value.items() if key != WRITTEN}
    return [_counting(one) for one in value] if isinstance(value, list) else value


def _view(view: FeatureView) -> dict[str, Any]:
    transformer, where = view.transformer, f"view {view.name!r}"
    return {
        "view": view.name,
        "entities": [definition(entity) for entity in view.entities],
        "sources": [definition(source) for source in view.sources],
        "schema": _types(view.schema),
        "ttl_us": view.ttl_us,
        "timestamp_field": view.timestamp_field,
        "window": _window(transformer.window),
        "aggregators": [described_value(one, where) for one in transformer.aggregators],
        "event_transforms": [described_value(one, where) for one in transformer.event_transforms],
    }


def _group(group: FeatureGroup) -> dict[str, Any]:
    return {
        "group": group.name,
        "entities": [definition(entity) for entity in group.entities],
        "event_time": group.event_time,
        "created": group.created,
        "schema": _types(group.schema),
        "ttl_us": group.ttl_us,
    }


def _window(window: Window) -> dict[str, Any]:
    defined: dict[str, Any] = {"kind": type(window).__name__, "lateness_us": window.lateness_us}
    match window:
        case Rolling() | Tumbling():
            return defined | {"size_us": window.size_us}
        case Session():
            return defined | {"gap_us": window.gap_us}
    return defined


def _on_demand(view: OnDemandView, known: Mapping[int, str]) -> dict[str, Any]:
    return {
        "on_demand_view": view.name,
        "inputs": [_selection(one, known) for one in view.inputs],
        "request": _types(view.request),
        "schema": _types(view.schema),
        "function": described_value(view.function, f"on-demand view {view.name!r}"),
    }


def _service(service: FeatureService, known: Mapping[int, str]) -> dict[str, Any]:
    where = f"feature service {service.name!r}"
    return {
        "service": service.name,
        "views": [_selection(one, known) for one in service.views],
        "on_demand": [
            {
                "view": one.name,
                "version": one.version,
                "fingerprint": known.get(id(one)) or fingerprint(one),
            }
            for one in service.on_demand
        ],
        "labels": definition(service.labels) if service.labels else None,
        "label": service.label,
        "request": _types(service.request),
        "transformations": {
            name: described_value(one, where) for name, one in service.transformations.items()
        },
        "boundary": service.boundary,
        "offset_us": service.offset_us,
    }


def _selection(one: Selection, known: Mapping[int, str]) -> dict[str, Any]:
    return {
        "view": one.view.name,
        "version": one.view.version,
        "fingerprint": known.get(id(one.view)) or fingerprint(one.view),
        "features": list(one.features),
    }


def _types(schema: Mapping[str, FeatureType]) -> list[list[str]]:
    return [[name, kind.__name__] for name, kind in schema.items()]
