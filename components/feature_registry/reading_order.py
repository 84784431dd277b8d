"""What a declaration reads, and in which order several are recorded."""

from collections.abc import Iterable, Iterator

from components.features.definition import Declared
from components.features.group import FeatureGroup
from components.features.on_demand import OnDemandView
from components.features.service import FeatureService
from components.features.view import FeatureView


def with_all_it_reads(things: Iterable[Declared]) -> list[Declared]:
    """The declarations, each behind what it reads, each once."""
    ordered: dict[int, Declared] = {}
    for thing in things:
        for one in (*with_all_it_reads(_read_by(thing)), thing):
            ordered.setdefault(id(one), one)
    return list(ordered.values())


def _read_by(thing: Declared) -> Iterator[Declared]:
    match thing:
        case FeatureView() | FeatureGroup():
            yield from thing.entities
            yield from thing.sources
        case OnDemandView():
            yield from (one.view for one in thing.inputs)
        case FeatureService():
            yield from (one.view for one in thing.views)
            yield from thing.on_demand
            if thing.labels:
                yield thing.labels
