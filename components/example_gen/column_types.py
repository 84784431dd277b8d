"""The three column types, and how words and stored values become them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import BeamfleetError

Kind = Literal["null", "int64", "double", "string"]
"""Type of a column, from narrow to wide; a column without any value is "null"."""

_ORDER: Sequence[Kind] = ("null", "int64", "double", "string")
_NUMBERS: Sequence[Kind] = ("int64", "double")
_EXACT_DIGITS = 15
"""A decimal number of as many digits survives floating point."""
ARROW_TYPE = {
    "null": pa.string(),  # a column without any value is taken for words
    "int64": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
}


def join_kinds(one: Kind, other: Kind) -> Kind:
    """Returns the narrowest type that holds the values of both."""
    return max(one, other, key=_ORDER.index)


def kind_of_values(column: pa.ChunkedArray, where: str) -> Kind:
    """Returns the type that a stored column becomes without losing a digit.

    Whole numbers beyond 64 bits, and decimals that floating point would change, become words.

    Raises:
      BeamfleetError: as `natural_kind`.
    """
    kind = natural_kind(column.type, where)
    may_lose = pa.types.is_uint64(column.type) or pa.types.is_decimal(column.type)
    if may_lose and convert(column.combine_chunks(), kind)[1] is not None:
        return "string"
    return kind


def natural_kind(stored: pa.DataType, where: str) -> Kind:
    """Returns the type that a stored column becomes.

    Raises:
      BeamfleetError: there is no sensible one (dates, structs); the message starts with `where`.
    """
    if pa.types.is_dictionary(stored):
        return natural_kind(stored.value_type, where)
    if pa.types.is_null(stored):
        return "null"
    is_whole = pa.types.is_decimal(stored) and stored.scale <= 0
    if pa.types.is_integer(stored) or pa.types.is_boolean(stored) or is_whole:
        return "int64"
    if pa.types.is_floating(stored) or pa.types.is_decimal(stored):
        return "double"
    if _is_text(stored):
        return "string"
    raise BeamfleetError(
        f"{where} has type {stored}; expected text, whole numbers, floating point or booleans. "
        "Write times as whole numbers (for example microseconds) or as ISO 8601 text"
    )


def kind_of_words(words: pa.Array) -> Kind:
    """Returns the narrowest type of some distinct words (string or binary).

    Whole numbers that do not fit 64 bits are words: as floating point they would lose digits. So
    are numbers with leading zeros, such as postal codes, and hexadecimal ones.
    """
    if len(words) == words.null_count:
        return "null"
    try:
        words = _trimmed(words.cast(pa.string()))
    except pa.ArrowInvalid:
        return "string"  # not valid UTF-8; the row is rejected when it is read
    for kind in _NUMBERS:
        if _casts(words, ARROW_TYPE[kind]) and not has_identifiers(words, kind):
            return kind
    return "string"


def has_identifiers(words: pa.Array, kind: Kind) -> bool:
    """Whether some words, though spelled as numbers, would lose characters as that type."""
    return bool(pc.any(_are_identifiers(_trimmed(words), ARROW_TYPE[kind])).as_py())


def convert(
    column: pa.Array, kind: Kind, *, any_spelling: bool = False
) -> tuple[pa.Array, npt.NDArray[np.bool_] | None]:
    """Converts a plain or dictionary-encoded column.

    Args:
      column: values of any type that `natural_kind` knows.
      kind: type to convert to.
      any_spelling: `007` is a number too and `60.0` a whole one, as the user says; else they do
        not fit, as they would be of another type if it were inferred.

    Returns:
      (column of the type, mask of the values that do not fit or None if all do). Values that do
      not fit are null in the column.
    """
    if kind == "null":
        unfit = column.is_valid().to_numpy(zero_copy_only=False)
        return pa.nulls(len(column), pa.string()), unfit if unfit.any() else None
    target = ARROW_TYPE[kind]
    if not pa.types.is_dictionary(column.type):
        if column.type == target:
            return column, None
        if not _is_text(column.type) or _casts(column, target):
            return _convert_stored(column, target, any_spelling)
        column = column.dictionary_encode()
    values, unfit_values = _convert_words(column.dictionary, target, any_spelling)
    if unfit_values is None:
        encoded = pa.DictionaryArray.from_arrays(column.indices, values)
        return (encoded if kind == "string" else values.take(column.indices)), None
    indices = column.indices
    bad = pc.fill_null(pa.array(unfit_values).take(indices), False)
    return values.take(indices), bad.to_numpy(zero_copy_only=False)


def _convert_words(
    words: pa.Array, target: pa.DataType, any_spelling: bool
) -> tuple[pa.Array, npt.NDArray[np.bool_] | None]:
    text, unfit = _cast_what_fits(words, pa.string())
    if pa.types.is_string(target):
        return text, unfit
    text = _trimmed(text)
    if any_spelling and pa.types.is_integer(target):  # pandas writes 60.0 where others are missing
        text = pc.replace_substring_regex(text, r"^([-+]?\d+)\.0+$", r"\1")
    numbers, not_numbers = _cast_what_fits(text, target)
    if not any_spelling:
        identifiers = pc.fill_null(_are_identifiers(text, target), False)
        if pc.any(identifiers).as_py():
            is_one = identifiers.to_numpy(zero_copy_only=False)
            numbers = pc.if_else(identifiers, None, numbers)
            not_numbers = is_one if not_numbers is None else not_numbers | is_one
    if unfit is None or not_numbers is None:
        return numbers, unfit if not_numbers is None else not_numbers
    return numbers, unfit | not_numbers


def _are_identifiers(words: pa.Array, target: pa.DataType) -> pa.Array:
    """Marks words with leading zeros, and for floating point whole numbers with many digits."""
    pattern = r"^[-+]?0[\dxX]"
    if pa.types.is_floating(target):
        pattern += r"|^[-+]?\d{19,}$"
    return pc.match_substring_regex(words, pattern)


def _convert_stored(
    column: pa.Array, target: pa.DataType, any_spelling: bool
) -> tuple[pa.Array, npt.NDArray[np.bool_] | None]:
    if pa.types.is_decimal(column.type) and pa.types.is_floating(target):
        return _convert_decimals(column, any_spelling)
    if pa.types.is_floating(column.type) and pa.types.is_integer(target):
        column = pc.if_else(pc.is_nan(column), None, column)  # how pandas stores a missing integer
    return _cast_what_fits(column, target)


def _convert_decimals(
    column: pa.Array, any_value: bool
) -> tuple[pa.Array, npt.NDArray[np.bool_] | None]:
    """Converts to floating point; a number that does not come back with its digits is unfit."""
    numbers = column.cast(pa.string()).cast(pa.float64())  # by way of words: the nearest number
    if any_value or column.type.precision <= _EXACT_DIGITS:
        return numbers, None
    pairs = zip(column.to_pylist(), numbers.to_pylist(), strict=True)
    unfit = np.array([d is not None and Decimal(repr(n)) != d for d, n in pairs], dtype=bool)
    return (pc.if_else(pa.array(unfit), None, numbers), unfit) if unfit.any() else (numbers, None)


def _cast_what_fits(
    values: pa.Array, target: pa.DataType
) -> tuple[pa.Array, npt.NDArray[np.bool_] | None]:
    """Casts; what does not fit becomes null and is marked. Halves the values to find it."""
    if _casts(values, target):
        return values.cast(target), None
    if len(values) == 1:
        return pa.nulls(1, target), np.array([True])
    middle = len(values) // 2
    halves = [_cast_what_fits(half, target) for half in (values[:middle], values[middle:])]
    masks = [np.zeros(len(cast), dtype=bool) if mask is None else mask for cast, mask in halves]
    return pa.concat_arrays([cast for cast, _ in halves]), np.concatenate(masks)


def _casts(values: pa.Array, target: pa.DataType) -> bool:
    try:
        values.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _trimmed(words: pa.Array) -> pa.Array:
    return pc.ascii_trim(words, characters=" \t")  # as pyarrow's CSV reader does for numbers


def _is_text(stored: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(stored)
        or pa.types.is_large_string(stored)
        or pa.types.is_binary(stored)
        or pa.types.is_large_binary(stored)
    )
