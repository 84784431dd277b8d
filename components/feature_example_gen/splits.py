"""Splits by the time of the label, with a gap between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from components.errors import BeamfleetError
from components.features.durations import microseconds


@dataclass(frozen=True)
class Span:
    """Labels of one split: those in [start, end)."""

    name: str
    start: datetime
    end: datetime


def moment(text: str, what: str) -> datetime:
    """ISO 8601 as a time in UTC; without a zone it is UTC.

    Raises:
      BeamfleetError: it is none.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BeamfleetError(
            f"{what} is {text!r}, expected a day or a time such as 2024-05-22 or "
            "2024-05-22T18:00:00Z"
        ) from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def spans(splits: Mapping[str, str], gap: str, as_of: datetime) -> tuple[Span, ...]:
    """The splits in the order of time.

    Args:
      splits: Split -> its first moment.
      gap: So long before the next split a split ends: what happened to the labels of the one is
        then not in the features of the other.
      as_of: End of the last one.

    Raises:
      BeamfleetError: a split would have no time.
    """
    width = microseconds(gap, "gap")
    starts = sorted((moment(text, f"split {name!r}"), name) for name, text in splits.items())
    ends = [*(start for start, _ in starts[1:]), as_of]
    made = []
    for place, ((start, name), end) in enumerate(zip(starts, ends, strict=True)):
        last = place == len(starts) - 1
        stop = end if last else end - timedelta(microseconds=width)
        if stop <= start:
            until = (
                f"as_of, {end.isoformat()}" if last else f"{end.isoformat()} less a gap of {gap}"
            )
            raise BeamfleetError(
                f"split {name!r} begins at {start.isoformat()} and would end at {until}: it has no "
                "time; move one of them"
            )
        made.append(Span(name, start, stop))
    return tuple(made)
