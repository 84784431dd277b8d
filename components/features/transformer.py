"""From events to values: which events, for how long each counts, and what is made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import BeamfleetError
from components.features.aggregator import Aggregator, EventTransform
from components.features.source import Source
from components.features.window import Window


@dataclass(frozen=True)
class Events:
    """The events of a source, as a view's function is given them."""

    source: Source

    def __or__(self, transformer: "UnifiedTransformer") -> "Transformed":
        return Transformed((self,), transformer)


@dataclass(frozen=True)
class UnifiedTransformer:
    """One transformation for stream, backfill and training.

    Example:
        events | UnifiedTransformer(to_amount, Rolling("4h", lateness="30m"), (Mean(), Count()))
    """

    event_transform: EventTransform | tuple[EventTransform, ...]
    """`event_transform(events: pl.DataFrame) -> pl.DataFrame`, of any number of events: adds
    columns, and leaves out events that are none of this feature. Each row of its result depends on
    one row only. The entity's keys, and the source's times and id, have to stay. For several
    sources: one function for each."""
    window: Window
    aggregator: Aggregator[Any] | tuple[Aggregator[Any], ...]
    """One for each feature, in the order of the view's schema."""

    def __ror__(self, events: Sequence[Events]) -> "Transformed":
        """`(txns, payments) | UnifiedTransformer(...)`: several sources in one sweep."""
        return Transformed(tuple(events), self)

    def __post_init__(self) -> None:
        if not isinstance(self.window, Window):
            raise BeamfleetError(
                f"window is {self.window!r}, expected Rolling, Tumbling, Session or Lifetime"
            )
        for one in self.aggregators:
            if not isinstance(one, Aggregator):
                raise BeamfleetError(
                    f"aggregator is {one!r}, expected such as Mean() or an Aggregator of your own"
                )

    @property
    def aggregators(self) -> tuple[Aggregator[Any], ...]:
        """One or several, as a tuple."""
        several = isinstance(self.aggregator, tuple)
        return self.aggregator if several else (self.aggregator,)  # type: ignore[return-value]

    @property
    def event_transforms(self) -> tuple[EventTransform, ...]:
        """One or several, as a tuple."""
        several = isinstance(self.event_transform, tuple)
        return self.event_transform if several else (self.event_transform,)  # type: ignore[return-value]


@dataclass(frozen=True)
class Transformed:
    """What a view's function gives back."""

    events: tuple[Events, ...]
    transformer: UnifiedTransformer
