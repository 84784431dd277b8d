"""Lengths of time as people write them, and as the machinery counts them: whole microseconds."""

import re
from datetime import timedelta

from components.errors import BeamfleetError

Duration = str | timedelta
"""Such as "90s", "30m", "4h", "1d", "2w", or a timedelta."""

_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_UNITS |= {"d": 24 * _UNITS["h"], "w": 7 * 24 * _UNITS["h"]}
_MOST_US = 100 * 366 * _UNITS["d"]


def microseconds(duration: Duration, what: str) -> int:
    """Whole microseconds of a length of time.

    Args:
      duration: See Duration; several parts may follow each other: "1d12h".
      what: Names the argument in an error.

    Raises:
      BeamfleetError: it is written otherwise, negative, or longer than 100 years.
    """
    if isinstance(duration, timedelta):
        total = duration // timedelta(microseconds=1)
    else:
        parts = re.findall(r"(\d+)(us|ms|s|m|h|d|w)", str(duration))
        if not parts or "".join(map("".join, parts)) != str(duration):
            raise BeamfleetError(
                f"{what} is {duration!r}, expected a length of time such as '90s', '30m', '4h', "
                "'1d' or '1d12h'"
            )
        total = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not 0 <= total <= _MOST_US:
        raise BeamfleetError(f"{what} is {duration}, expected 0 to 100 years")
    return total


def as_text(length: int) -> str:
    """The shortest text that `microseconds` reads back: 14,400,000,000 is "4h"."""
    parts = []
    for unit, size in sorted(_UNITS.items(), key=lambda item: -item[1]):
        count, length = divmod(length, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
