"""Transformations that belong to one model: fitted on its training split, done again in serving."""

from typing import Any, Generic, TypeVar

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
