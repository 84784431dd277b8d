"""On-demand features: the same function over a training set and over one request."""

from datetime import datetime

import polars as pl

from components.errors import BeamfleetError
from components.feature_values.by_row import called, check_each_row_for_itself
from components.feature_values.keyed import POLARS_TYPES, as_time
from components.features.names import FeatureType
from components.features.on_demand import OnDemandView
from components.features.service import FeatureService

REQUEST_TIME = "request_time"


def with_on_demand(service: FeatureService, frame: pl.DataFrame, time_column: str) -> pl.DataFrame:
    """Adds the service's on-demand features.

    Args:
      service: Whose.
      frame: Has the features that `service.needed` names, the columns of `service.request`, and
        more if you like.
      time_column: Column of the time of the request. In training that is the label's time less
        the service's offset: the time at which the other features of the row are.

    Returns:
      The frame with the on-demand features behind its columns; rows as they are. The functions
      also see `request_time`; it is not added to what comes back.

    Raises:
      BeamfleetError: a column is missing or of another type, a function failed, or gave other
        rows, columns or types than it declares, or values that depend on the rows beside.
    """
    for one in service.on_demand:
        what = f"service {service.name!r}, on-demand view {one.name!r}"
        inputs = _inputs(one, frame, time_column, what)
        given = called(one.function, inputs, what)
        made = _checked(one, given, inputs, what)
        check_each_row_for_itself(one.function, inputs, what)
        frame = frame.with_columns(made)
    return frame


def as_declared(values: pl.Series, kind: FeatureType, what: str) -> pl.Series:
    """A column in the type of its declaration.

    Smaller numbers become larger ones, integers become floats, a column of nulls becomes any type;
    nothing else is converted.

    Raises:
      BeamfleetError: it has another type, or an integer is too large.
    """
    wanted, is_ = POLARS_TYPES[kind], values.dtype
    if is_ in (wanted, pl.Null):
        return values.cast(wanted)
    if kind is str and is_ in (pl.Categorical, pl.Enum):
        return values.cast(wanted)
    if kind is datetime and isinstance(is_, pl.Datetime | pl.Date):
        return as_time(values, what)
    widens = (kind is int and is_.is_integer()) or (kind is float and is_.is_numeric())
    if not widens or is_.is_decimal():
        raise BeamfleetError(f"{what} is {is_}, declared as {kind.__name__}: expected {wanted}")
    try:
        return values.cast(wanted)
    except pl.exceptions.PolarsError as error:
        raise BeamfleetError(f"{what} does not fit into {wanted}: {error}") from None


def _inputs(one: OnDemandView, frame: pl.DataFrame, time_column: str, what: str) -> pl.DataFrame:
    """Exactly what it declares: another column would be absent in serving."""
    kinds = {name: s.view.schema[name] for s in one.inputs for name in s.features} | one.request
    if missing := [name for name in (*kinds, time_column) if name not in frame.columns]:
        raise BeamfleetError(
            f"{what} reads {', '.join(missing)}; the rows have {', '.join(frame.columns)}"
        )
    columns = [as_declared(frame[name], kinds[name], f"{what}: {name}") for name in kinds]
    time = as_time(frame[time_column], f"{what}: {time_column}")
    if time.null_count():
        row = time.is_null().arg_max()
        raise BeamfleetError(f"{what}: {time_column} of row {row} is no time, expected one")
    return pl.DataFrame([*columns, time.alias(REQUEST_TIME)])


def _checked(
    one: OnDemandView, given: pl.DataFrame, inputs: pl.DataFrame, what: str
) -> list[pl.Series]:
    """Its features in their types."""
    if given.height != inputs.height:
        raise BeamfleetError(
            f"{what} made {given.height} rows of {inputs.height}; expected one for each, in order"
        )
    missing = [name for name in one.schema if name not in given.columns]
    more = sorted(set(given.columns) - {*one.schema, *inputs.columns})
    if missing or more:
        raise BeamfleetError(
            f"{what} gave {', '.join(given.columns)}; its schema has {', '.join(one.schema)}"
        )
    return [as_declared(given[name], kind, f"{what}: {name}") for name, kind in one.schema.items()]
