"""Feature views: named, versioned values of entities over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from components.errors import BeamfleetError
from components.features.durations import Duration, microseconds
from components.features.entity import Entity, key_types_of
from components.features.expectations import Expectation
from components.features.names import FeatureType, checked_name, checked_schema
from components.features.source import Source
from components.features.transformer import Events, Transformed, UnifiedTransformer

if TYPE_CHECKING:
    from components.features.group import FeatureGroup


@dataclass(frozen=True)
class FeatureView:
    """Values of entities over time, computed from events by one definition.

    value(t) is the aggregate of the events that count at t, and is stored as a change log: one row
    (keys, valid_from, created, features) at each time at which events begin or cease to count.
    """

    name: str
    entities: tuple[Entity, ...]
    sources: tuple[Source, ...]
    schema: dict[str, FeatureType] = field(hash=False)
    """Feature -> type, in the order of the aggregators."""
    transformer: UnifiedTransformer
    ttl_us: int | None = None
    """A value that is older is none; inclusive. None: it stays."""
    timestamp_field: str = ""
    """Column of the transformed events that says when; empty: the source's event_time."""
    online: bool = False
    """Whether it is kept in the online store."""
    version: int = 1
    owner: str = ""
    description: str = ""
    expectations: tuple[Expectation, ...] = ()

    def __post_init__(self) -> None:
        checked_name(self.name, "view")
        if not self.entities or not self.sources:
            raise BeamfleetError(f"view {self.name!r}: expected an entity and a source at least")
        if self.version < 1:
            raise BeamfleetError(f"view {self.name!r}: version is {self.version}, expected >= 1")
        checked_schema(self.schema, f"view {self.name!r}")
        if both := sorted(set(self.keys) & set(self.schema)):
            raise BeamfleetError(f"view {self.name!r}: {', '.join(both)} is a key and a feature")
        self._check_counts()
        for expectation in self.expectations:
            feature = getattr(expectation, "feature", None)
            if feature is not None and feature not in self.schema:
                raise BeamfleetError(
                    f"view {self.name!r} expects something of {feature!r}, which is no feature of "
                    f"it; it has {', '.join(self.schema)}"
                )

    def _check_counts(self) -> None:
        features, aggregators = len(self.schema), len(self.transformer.aggregators)
        if features != aggregators:
            raise BeamfleetError(
                f"view {self.name!r} has {features} features ({', '.join(self.schema)}) and "
                f"{aggregators} aggregators; expected one for each"
            )
        sources, transforms = len(self.sources), len(self.transformer.event_transforms)
        if sources != transforms:
            raise BeamfleetError(
                f"view {self.name!r} has {sources} sources and {transforms} event_transforms; "
                "expected one for each"
            )

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The columns that name an entity, of all entities of the view."""
        return tuple(self.key_types)

    @cached_property
    def key_types(self) -> dict[str, FeatureType]:
        """Key column -> type."""
        return key_types_of(self.entities)

    @property
    def features(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(self.schema)

    def __getitem__(self, features: str | Sequence[str]) -> "Selection":
        """Some of the features: `card_spend["mean_4h"]`, `card_spend[["mean_4h", "count_4h"]]`."""
        return Selection(self, (features,) if isinstance(features, str) else tuple(features))


@dataclass(frozen=True)
class Selection:
    """Some features of a view, or of a group in its place."""

    view: "FeatureView | FeatureGroup"
    features: tuple[str, ...]

    def __post_init__(self) -> None:
        if unknown := [name for name in self.features if name not in self.view.schema]:
            raise BeamfleetError(
                f"view {self.view.name!r} has no feature {', '.join(unknown)}; it has "
                f"{', '.join(self.view.schema)}"
            )


def stream_feature_view(
    *,
    entities: Entity | Sequence[Entity],
    source: Source | Sequence[Source],
    schema: dict[str, FeatureType],
    timestamp_field: str = "",
    ttl: Duration | None = None,
    online: bool = False,
    version: int = 1,
    owner: str = "",
    description: str = "",
    expect: Sequence[Expectation] = (),
) -> Callable[[Callable[..., Transformed]], FeatureView]:
    """Makes a feature view of a function from events to transformed events.

    The view is called as the function is, and described by its docstring.

    Args:
      entities: What the values are about; a value for each combination of their keys.
      source: Where the events come from; of several, the function is given one argument for each.
      schema: Feature -> float, int, str, bool or datetime.
      timestamp_field: Column of the transformed events that says when; default: event_time of the
        source.
      ttl: See FeatureView.ttl_us; such as "1d".
      online: See FeatureView.
      version: A changed definition needs a new one.
      owner: Default: that of the (first) source.
      description: Default: the function's docstring.
      expect: What has to hold before anyone may read the values.

    Raises:
      BeamfleetError: something does not fit together.
    """
    sources = (source,) if isinstance(source, Source) else tuple(source)
    about = (entities,) if isinstance(entities, Entity) else tuple(entities)
    if wrong := [one for one in about if not isinstance(one, Entity)]:
        raise BeamfleetError(
            f"entities= has {wrong[0]!r}, expected an Entity: entities=[card], of "
            'card = Entity("card", keys=["card_id"])'
        )

    def made(function: Callable[..., Transformed]) -> FeatureView:
        transformed = function(*map(Events, sources))
        given = tuple(map(Events, sources))
        if not isinstance(transformed, Transformed) or transformed.events != given:
            raise BeamfleetError(
                f"view {function.__name__!r} returned {type(transformed).__name__}, expected its "
                "arguments, in order, piped into one transformer: "
                "return events | UnifiedTransformer(...)"
            )
        return FeatureView(
            name=function.__name__,
            entities=about,
            sources=sources,
            schema=schema,
            transformer=transformed.transformer,
            ttl_us=None if ttl is None else microseconds(ttl, f"ttl of view {function.__name__!r}"),
            timestamp_field=timestamp_field,
            online=online,
            version=version,
            owner=owner or sources[0].owner,
            description=description or (function.__doc__ or "").strip().split("\n")[0],
            expectations=tuple(expect),
        )

    return made
