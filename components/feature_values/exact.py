"""Casts of values that take nothing off them."""

import polars as pl

_WHOLE_FLOATS = 1 << 53
"""Up to here a float stands for one integer only."""


def exactly(values: pl.Series, kind: pl.DataType) -> pl.Series:
    """The values in another type; null where it would be another value.

    Floats become integers if they are whole and not beyond 2^53; integers become floats as near as
    those come, which is what a float says of any number.
    """
    if values.dtype == kind:
        return values
    if values.dtype.is_float() and kind.is_integer():
        lies = values.is_between(-_WHOLE_FLOATS, _WHOLE_FLOATS) & (values.floor() == values)
        return values.set(~lies.fill_null(value=True), None).cast(kind)
    typed = values.cast(kind, strict=False)
    if values.dtype.is_decimal() and kind.is_integer():
        typed = typed.set((typed.cast(values.dtype) != values).fill_null(value=False), None)
    return typed
