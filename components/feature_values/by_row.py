"""Functions of a user over frames: called, and held to a row depending on itself only."""

from collections.abc import Callable
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.user_function import described

SAMPLE = 64
"""Rows of which it is checked that each stands for itself."""


class FunctionFailedError(BeamfleetError):
    """The function raised."""


FrameFunction = Callable[[Any], Any]
"""`function(rows: pl.DataFrame) -> pl.DataFrame`."""


def called(
    function: FrameFunction, rows: pl.DataFrame, what: str, hidden: str = ""
) -> pl.DataFrame:
    """What the function gives.

    Args:
      what: Names the function in an error.
      hidden: A column of ours, which an error does not show.

    Raises:
      FunctionFailedError: the function raised.
      BeamfleetError: it gave something else than a frame.
    """
    try:
        given = function(rows)
    except Exception as error:
        raise FunctionFailedError(
            f"{what} failed: {described(error)}; the columns are "
            f"{', '.join(name for name in rows.columns if name != hidden)}"
        ) from error
    if not isinstance(given, pl.DataFrame):
        raise BeamfleetError(f"{what} gave {type(given).__name__}, expected a polars DataFrame")
    return given


def check_each_row_for_itself(
    function: FrameFunction, rows: pl.DataFrame, what: str, hidden: str = ""
) -> None:
    """Refuses a function that makes of a row what depends on the rows beside it.

    A stream, a backfill and a request see other batches of the same rows: their values would
    differ. Looks at the first rows, in halves and in the other order.

    Raises:
      BeamfleetError: it gives other values, or another order.
    """
    rows = rows.head(SAMPLE)
    if rows.height < 2:
        return
    halves = [rows.head(rows.height // 2), rows.tail(rows.height - rows.height // 2)]
    parts = [called(function, half.reverse(), what, hidden).reverse() for half in halves]
    whole = called(function, rows, what, hidden)
    if not _same(whole, parts):
        raise BeamfleetError(
            f"{what} gives other values for a row beside other rows; stream, backfill and serving "
            "would differ. Let each row depend on itself only, and keep the order"
        )


def _same(whole: pl.DataFrame, parts: list[pl.DataFrame]) -> bool:
    try:
        return whole.equals(pl.concat(parts, how="vertical_relaxed").cast(whole.schema))
    except pl.exceptions.PolarsError:  # other columns, or types that have nothing in common
        return False
