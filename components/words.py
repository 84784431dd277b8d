"""How numbers and lists stand in sentences."""

from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """`1 image`, `1,234 images`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *before, end = words
    return f"{', '.join(before)} {last} {end}" if before else end
