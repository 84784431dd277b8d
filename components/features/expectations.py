"""What has to hold of a view's values before anyone may read them."""

from dataclasses import dataclass

from components.errors import BeamfleetError
from components.features.durations import Duration, microseconds


@dataclass(frozen=True)
class InRange:
    """Every value of a feature that is not null lies in [min, max]."""

    feature: str
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise BeamfleetError(f"InRange({self.feature!r}): give min, max or both")


@dataclass(frozen=True)
class NullShare:
    """At most this share of a feature's values is null."""

    feature: str
    max: float

    def __post_init__(self) -> None:
        if not 0 <= self.max <= 1:
            raise BeamfleetError(f"NullShare({self.feature!r}): max is {self.max}, expected 0 to 1")


@dataclass(frozen=True)
class Fresh:
    """The newest event is at most this much older than the point in time of the backfill."""

    within: Duration

    def __post_init__(self) -> None:
        microseconds(self.within, "within of Fresh")


@dataclass(frozen=True)
class CountAgainstYesterday:
    """The last whole day has `min` to `max` times the events of the day before."""

    min: float = 0.5
    max: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.min <= self.max:
            raise BeamfleetError(
                f"CountAgainstYesterday: expected 0 <= min <= max, got {self.min} and {self.max}"
            )


Expectation = InRange | NullShare | Fresh | CountAgainstYesterday
