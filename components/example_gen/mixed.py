"""Columns of CSV files in which numbers and other words are mixed.

A few misspelt cells must not silently turn a column of numbers into words, and a column of words
with some numbers among them (ticket codes) is no mistake. The line between both is the share of
rows that may be rejected.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.column_types import Kind, convert, join_kinds, kind_of_words

_FEW = 0.01


@dataclass(frozen=True)
class WordCounts:
    """How many of the values of a column are numbers."""

    numbers: int = 0
    others: int = 0
    kind: Kind = "null"
    """Narrowest type of the numbers; "string" if some are identifiers such as `007`."""
    example: str = ""
    """One of the others."""
    long: int = 0
    """How many of the numbers have more digits than a number keeps."""
    longest: str = ""
    """One of them."""

    def __add__(self, other: "WordCounts") -> "WordCounts":
        return WordCounts(
            self.numbers + other.numbers,
            self.others + other.others,
            join_kinds(self.kind, other.kind),
            self.example or other.example,
            self.long + other.long,
            self.longest or other.longest,
        )

    @property
    def all(self) -> int:
        return self.numbers + self.others

    @property
    def mostly_numbers(self) -> bool:
        """More numbers than other words; neither only numbers nor identifiers."""
        return self.kind != "string" and self.numbers > self.others > 0

    @property
    def has_few_long(self) -> bool:
        """Whether a hundredth or less of the numbers are too long, and so make words of all."""
        return not self.others and 0 < self.long <= _FEW * self.numbers


def count_words(column: pa.ChunkedArray) -> WordCounts:
    """Counts the values of a dictionary-encoded column of words; missing ones do not count."""
    if not column.num_chunks:
        return WordCounts()
    encoded = column.combine_chunks()
    values, unfit = convert(encoded.dictionary, "double", any_spelling=True)
    codes = encoded.indices.drop_null().to_numpy()
    times = np.bincount(codes, minlength=len(values))
    is_number = np.ones(len(values), bool) if unfit is None else ~unfit
    others = encoded.dictionary.filter(pa.array(~is_number & (times > 0)))
    is_long = is_number & _are_long(encoded.dictionary)
    long = encoded.dictionary.filter(pa.array(is_long & (times > 0)))
    return WordCounts(
        int(times[is_number].sum()),
        int(times[~is_number].sum()),
        kind_of_words(encoded.dictionary.filter(pa.array(is_number))),
        _first(others),
        int(times[is_long].sum()),
        _first(long),
    )


def _are_long(words: pa.Array) -> npt.NDArray[np.bool_]:
    """Whole numbers that fit no type without losing digits; leading zeros are another matter."""
    long = pc.match_substring_regex(words, r"^\s*[-+]?[1-9]\d{15,}\s*$")
    _, unfit = convert(words, "int64")
    fits = np.ones(len(words), bool) if unfit is None else ~unfit
    found: npt.NDArray[np.bool_] = pc.fill_null(long, False).to_numpy(zero_copy_only=False)
    return found & ~fits


def _first(values: pa.Array) -> str:
    return str(values[0].as_py().decode(errors="replace")) if len(values) else ""


def sum_counts(counts: Iterable[Mapping[str, WordCounts]]) -> dict[str, WordCounts]:
    """Adds up the counts of blocks."""
    total: dict[str, WordCounts] = {}
    for block in counts:
        for name, words in block.items():
            total[name] = total.get(name, WordCounts()) + words
    return total


def numbers_but_for_few(
    counts: Mapping[str, WordCounts], max_rejected_share: float
) -> dict[str, Kind]:
    """The columns that are numbers, with their type; the few rows with other words are rejected."""
    return {
        name: words.kind
        for name, words in counts.items()
        if words.mostly_numbers and words.others <= max_rejected_share * words.all
    }


def notes_on(counts: Mapping[str, WordCounts], numbers: Collection[str]) -> list[str]:
    """A sentence for each column of words most of which are numbers, or all but a few of which."""
    return [
        f"column {name!r} is taken for words: {words.numbers} of {words.all} "
        f"values are numbers, others such as {words.example!r} are not; "
        f"types={{{name!r}: {words.kind!r}}} rejects those rows, null_values takes their words as "
        f"missing, types={{{name!r}: 'string'}} says that words are meant"
        for name, words in counts.items()
        if words.mostly_numbers and name not in numbers
    ] + [
        f"column {name!r} is taken for words: {words.long} of {words.all} values, such as "
        f"{words.longest!r}, have more digits than a number keeps; types={{{name!r}: 'double'}} "
        f"takes all as rounded numbers, types={{{name!r}: 'string'}} says that words are meant"
        for name, words in counts.items()
        if words.has_few_long and name not in numbers
    ]
