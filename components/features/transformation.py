"""Transformations that belong to one model: fitted on its training split, done again in serving."""

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from components.errors import BeamfleetError

P = TypeVar("P")


class Transformation(Generic[P]):
    """One of your own: a frozen dataclass with these two functions.

    What `fit` gives is kept beside the training split and the model, as JSON.
    """

    def fit(self, values: Any) -> P:
        """Learns what it needs.

        Args:
          values: pl.Series of the training split; may hold nulls.

        Returns:
          JSON values.
        """
        raise NotImplementedError

    def apply(self, values: Any, fitted: P) -> Any:
        """Transforms a column of any split, or of one request.

        Args:
          values: pl.Series.
          fitted: What `fit` gave.

        Returns:
          pl.Series of the same length, in order; a null stays a null.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class StandardScaler(Transformation[dict[str, float]]):
    """(value - mean) / standard deviation of the population, as a float.

    Of the values of the training split that are finite numbers; NaN stays NaN. A column that is
    constant there is only shifted to 0.
    """

    def fit(self, values: Any) -> dict[str, float]:
        import polars as pl

        _refuse_unless(values.dtype.is_numeric() or values.dtype == pl.Boolean, self, values)
        numbers = values.cast(pl.Float64).drop_nulls()
        numbers = numbers.filter(numbers.is_finite())
        if not len(numbers):
            return {"mean": 0.0, "scale": 1.0}
        if numbers.min() == numbers.max():  # whose computed mean and deviation are rounded
            return {"mean": numbers[0], "scale": 1.0}
        mean, scale = numbers.mean(), numbers.std(ddof=0)
        if not math.isfinite(mean) or not math.isfinite(scale):
            raise BeamfleetError(
                f"StandardScaler of {values.name!r}: values up to {numbers.abs().max():g} are too "
                "large to be scaled"
            )
        return {"mean": mean, "scale": scale or 1.0}

    def apply(self, values: Any, fitted: dict[str, float]) -> Any:
        import polars as pl

        return (values.cast(pl.Float64) - fitted["mean"]) / fitted["scale"]


UNKNOWN_LABEL = -1
"""Code of a value that was not in the training split."""


@dataclass(frozen=True)
class LabelEncoder(Transformation[list[Any]]):
    """Place of a value among the sorted values of the training split, from 0; int.

    A value that is not among them is UNKNOWN_LABEL, as are NaN and the infinities.
    """

    def fit(self, values: Any) -> list[Any]:
        import polars as pl

        discrete = values.dtype in (pl.String, pl.Boolean) or values.dtype.is_numeric()
        _refuse_unless(discrete, self, values)
        known = values.drop_nulls().unique().sort()
        if known.dtype.is_float():
            known = known.filter(known.is_finite())
        return list(known)

    def apply(self, values: Any, fitted: list[Any]) -> Any:
        import polars as pl

        if not fitted:
            codes = pl.Series([UNKNOWN_LABEL], dtype=pl.Int64).new_from_index(0, len(values))
        else:
            known = pl.Series(fitted, dtype=values.dtype)
            codes = known.search_sorted(values).cast(pl.Int64)
            found = known.gather(codes.clip(0, len(known) - 1)) == values
            codes = codes.zip_with(found.fill_null(False), pl.Series([UNKNOWN_LABEL]))
        return codes.set(values.is_null(), None).alias(values.name)


def _refuse_unless(possible: bool, one: Transformation[Any], values: Any) -> None:
    if not possible:
        raise BeamfleetError(
            f"{type(one).__name__} of {values.name!r}, which is {values.dtype}, is not defined"
        )
