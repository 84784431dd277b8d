"""A service's transformations: fitted on its training split, done again on any rows of it."""

import json
from functools import partial
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_values.by_row import check_each_row_for_itself
from components.feature_values.on_demand import as_declared
from components.features.service import FeatureService
from components.features.transformation import Transformation
from components.user_function import described

Fitted = dict[str, Any]
"""Column -> what its transformation learnt, in JSON values."""


def fit(service: FeatureService, train: pl.DataFrame) -> Fitted:
    """Fits each of the service's transformations on the training split.

    Args:
      train: Rows of the training split only, with features and request columns as they are.

    Returns:
      As JSON reads it back, so that training and serving apply the very same values.

    Raises:
      BeamfleetError: a transformation raised, learnt what JSON has no value for, or makes of a
        value what depends on those beside it.
    """
    fitted = {}
    for name, one in service.transformations.items():
        what = _what(service, name, one)
        values = _column(service, train, name, what)
        fitted[name] = _as_json(_fitted(one, values, what), what)
        _applied(one, values, fitted[name], what)
        on_rows = partial(_on_rows, one, fitted[name], what)
        check_each_row_for_itself(on_rows, values.to_frame(), what)
    return fitted


def apply(service: FeatureService, frame: pl.DataFrame, fitted: Fitted) -> pl.DataFrame:
    """Replaces each column that the service transforms.

    Args:
      frame: Rows of any split, or of requests; other columns stay.
      fitted: What `fit` gave.

    Raises:
      BeamfleetError: `fitted` is of other columns, a column is missing, or a transformation
        raised, gave another number of values, or made something of a null.
    """
    if set(fitted) != set(service.transformations):
        raise BeamfleetError(
            f"service {service.name!r} transforms {', '.join(service.transformations) or 'nothing'}"
            f", but what was fitted is for {', '.join(fitted) or 'nothing'}; take what was fitted "
            "with this version of the service"
        )
    made = []
    for name, one in service.transformations.items():
        what = _what(service, name, one)
        made.append(_applied(one, _column(service, frame, name, what), fitted[name], what))
    return frame.with_columns(made)


def _column(service: FeatureService, frame: pl.DataFrame, name: str, what: str) -> pl.Series:
    if name not in frame.columns:
        raise BeamfleetError(f"{what}: no such column; the rows have {', '.join(frame.columns)}")
    return as_declared(frame[name], (service.schema | service.request)[name], what)


def _fitted(one: Transformation[Any], values: pl.Series, what: str) -> Any:
    try:
        return one.fit(values)
    except BeamfleetError as error:
        raise BeamfleetError(f"{what}: {error}") from error
    except Exception as error:
        raise BeamfleetError(f"{what}: fit failed: {described(error)}") from error


def _as_json(learnt: Any, what: str) -> Any:
    try:
        return json.loads(json.dumps(learnt, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BeamfleetError(f"{what}: fit gave what JSON has no value for: {error}") from None


def _applied(one: Transformation[Any], values: pl.Series, learnt: Any, what: str) -> pl.Series:
    try:
        made = one.apply(values, learnt)
    except Exception as error:
        raise BeamfleetError(f"{what}: apply failed: {described(error)}") from error
    if not isinstance(made, pl.Series) or len(made) != len(values):
        said = f"{len(made)} values" if isinstance(made, pl.Series) else type(made).__name__
        raise BeamfleetError(f"{what}: apply gave {said}, expected a Series of {len(values)}")
    if (made.is_not_null() & values.is_null()).any():
        raise BeamfleetError(f"{what}: apply made something of a null, expected it to stay null")
    return made.alias(values.name)


def _on_rows(one: Transformation[Any], learnt: Any, what: str, rows: pl.DataFrame) -> pl.DataFrame:
    return _applied(one, rows.to_series(), learnt, what).to_frame()


def _what(service: FeatureService, name: str, one: Transformation[Any]) -> str:
    return f"service {service.name!r}, {type(one).__name__} of {name!r}"
