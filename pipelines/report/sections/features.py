"""The feature store that the run read: views, services and sources, searched as one types."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from components.feature_registry.records import KINDS
from pipelines.feature_stores import OF_PIPELINE, REGISTRY
from pipelines.report.markup import Html, absent, details, fill, join, notice, table
from pipelines.report.source import Source
from pipelines.report.words import count

if TYPE_CHECKING:
    from components.feature_registry import Record, Training

_NODES = ("FeatureComputer", "FeatureExampleGen")
_MOST = 2000
"""Rows of a table in the page."""
_FEW = 8
"""Features of a row that are shown at once."""
Models = dict[tuple[str, int], list["Training"]]


def render(source: Source) -> Html:
    """Search box, then a table each of views, services, and sources with entities."""
    file = _registry_file(source)
    if not file.is_file():
        return absent("This run read no features of a store.")
    from components.feature_registry import Registry

    registry = Registry(file)
    records = registry.records()
    models = registry.models_by_view()
    older = registry.version_numbers()
    views = [one for one in records if one.kind in ("view", "group", "on_demand")]
    services = [one for one in records if one.kind == "service"]
    others = [one for one in records if one.kind in ("entity", "source")]
    trained = {one.name: registry.trainings(one.name) for one in services}
    return join(
        [
            _read_by_run(source),
            _search(),
            _table("Views and groups", _VIEW_HEADS, (_view(one, models, older) for one in views)),
            _table("Services", _SERVICE_HEADS, (_service(one, trained, older) for one in services)),
            _table("Sources and entities", _SOURCE_HEADS, map(_source, others)),
            fill('<p class="facts-line">All of {}, when the report was made.</p>', file),
        ]
    )


_VIEW_HEADS = ("view", "features", "from", "owner", "read by models", "description")
_SERVICE_HEADS = ("service", "reads", "label", "owner", "models", "description")
_SOURCE_HEADS = ("name", "columns", "place", "owner", "kind", "description")


def _registry_file(source: Source) -> Path:
    """Of the store that a node of the run names, else of the store of the run's root."""
    for name in _NODES:
        node = source.run.node(name)
        for artifact in node.outputs if node else ():
            if given := artifact.properties.get("store"):
                return Path(str(given), REGISTRY)
        if node and (given := node.parameters.get("store")):
            return Path(str(given), REGISTRY)
    return Path(source.run.root, OF_PIPELINE, REGISTRY)


def _read_by_run(source: Source) -> Html:
    read = {
        f"{artifact.properties['service']} version {artifact.properties.get('version', '?')}": None
        for name in _NODES
        if (node := source.run.node(name))
        for artifact in node.outputs
        if artifact.properties.get("service")
    }
    return fill("<p>This run read <b>{}</b>.</p>", ", ".join(read)) if read else Html("")


def _search() -> Html:
    return Html(
        '<div class="entity-tools registry-tools"><label for="registry-search">Search</label>'
        '<input id="registry-search" type="search" autocomplete="off" '
        'placeholder="name, feature, owner, source">'
        '<p id="registry-status" role="status" aria-live="polite"></p></div>'
    )


def _table(title: str, heads: tuple[str, ...], rows: Iterable[list[object]]) -> Html:
    there = list(rows)
    more = len(there) - _MOST
    left_out = notice(f"{count(more)} more are not shown: `beamfleet features list`.", "info")
    made = table(heads, there[:_MOST], label=title, text=99)
    return fill(
        '<div class="registry"><h3>{} <span class="registry-count">{}</span></h3>{}{}</div>',
        title, count(len(there)), made, left_out if more > 0 else "",
    ) if there else Html("")  # fmt: skip


def _view(one: "Record", models: Models, older: dict[tuple[str, str], list[int]]) -> list[object]:
    read = [*one.facts.get("sources", ()), *(use.name for use in one.uses if use.features)]
    window = one.facts.get("window")
    numbers = reversed(older[one.kind, one.name])
    reading = [(n, training) for n in numbers for training in models.get((one.name, n), [])]
    words = [
        f"{_model(training)}" + (f", version {n}" if n != one.version else "")
        for n, training in reading
    ]
    made_from = ", ".join([*read, *filter(None, [window])]) or None
    return [
        _name(one, older), _features(one), made_from, one.owner or None, _list(words),
        one.description or None,
    ]  # fmt: skip


def _service(
    one: "Record", trained: dict[str, list["Training"]], older: dict[tuple[str, str], list[int]]
) -> list[object]:
    read = [f"{use.name}@{use.version}" for use in one.uses if use.features]
    mine = [_model(training) for training in trained[one.name] if training.version == one.version]
    return [
        _name(one, older), _list(read), one.facts.get("label") or None, one.owner or None,
        _list(mine), one.description or None,
    ]  # fmt: skip


def _source(one: "Record") -> list[object]:
    facts = one.facts
    columns = [facts.get(name) for name in ("event_time", "created", "id")]
    names = [name for name, _ in one.schema] or [name for name in columns if name]
    place = "; ".join(filter(None, [facts.get("batch"), facts.get("stream")]))
    return [one.name, ", ".join(names), place or None, one.owner or None, KINDS[one.kind],
            one.description or None]  # fmt: skip


def _name(one: "Record", older: dict[tuple[str, str], list[int]]) -> Html:
    kind = "" if one.kind in ("view", "service") else KINDS[one.kind]
    others = [str(n) for n in older[one.kind, one.name] if n != one.version]
    also = f"also {', '.join(others)}" if others else ""
    notes = "; ".join(filter(None, [kind, also]))
    return fill('{}@{} <div class="facts-line">{}</div>', one.name, one.version, notes)


def _features(one: "Record") -> Html | None:
    made = one.facts.get("aggregators", {})
    return _list([f"{name} {kind} {made.get(name, '')}".rstrip() for name, kind in one.schema])


def _model(training: "Training") -> str:
    return f"{training.model} ({training.run})" if training.run else training.model


def _list(words: list[str]) -> Html | None:
    """Beside each other; of many the first, and the rest at a click."""
    once = list(dict.fromkeys(words))
    if not once:
        return None
    shown = join((fill('<span class="registry-word">{}</span>', word) for word in once), " ")
    if len(once) <= _FEW:
        return shown
    return details(f"{once[0]} and {count(len(once) - 1)} more", shown)
