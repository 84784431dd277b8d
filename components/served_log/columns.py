"""The columns of the log.

Names of features hold no dot, so that these prefixes keep them apart from all else.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from components.feature_values.keyed import POLARS_TYPES, TIME
from components.features.service import FeatureService

KEY, REQUEST, FEATURE, VALID_FROM = "key.", "request.", "feature.", "valid_from."

FIXED: Mapping[str, pl.DataType] = {
    "request_id": pl.String(),
    "time": TIME,
    "service": pl.String(),
    "service_version": pl.Int64(),
    "model_version": pl.String(),
    "entity": pl.String(),
    "prediction": pl.String(),
    "score": pl.Float64(),
}
"""`time` is the `now` of the look-up, `model_version` the pushed version's number, `entity` the
entity key of the row; `score` the probability of the positive class, or the value of a regression.
"""

_OWN = ("service", "service_version")


def log_schema(service: FeatureService) -> dict[str, pl.DataType]:
    """Column -> type of the log of a service: FIXED, then keys, request, features, valid_from."""
    stored = {name: one.view.schema[name] for one in service.needed for name in one.features}
    features = stored | service.schema  # with what only on-demand views read
    request = {name: kind for name, kind in service.request.items() if name not in service.keys}
    return {
        **FIXED,
        **{f"{KEY}{name}": POLARS_TYPES[kind] for name, kind in service.key_types.items()},
        **{f"{REQUEST}{name}": POLARS_TYPES[kind] for name, kind in request.items()},
        **{f"{FEATURE}{name}": POLARS_TYPES[kind] for name, kind in features.items()},
        **{f"{VALID_FROM}{one.view.name}": TIME for one in service.needed},
    }


def as_frame(
    rows: pl.DataFrame | Sequence[Mapping[str, object]],
    schema: Mapping[str, pl.DataType],
    service: FeatureService,
) -> pl.DataFrame:
    """Rows in the log's columns and types; a column that is not given is null.

    Raises:
      ValueError: a column is unknown, or a request_id or time is missing.
      pl.exceptions.PolarsError, TypeError: a value is of another type.
    """
    if not isinstance(rows, pl.DataFrame):
        names = dict.fromkeys(name for row in rows for name in row)
        given = [
            pl.Series(name, [row.get(name) for row in rows], dtype=schema.get(name))
            for name in names
        ]
        rows = pl.DataFrame(given)
    if unknown := [name for name in rows.columns if name not in schema]:
        raise ValueError(f"no column {', '.join(unknown)} in the log of {service.name}")
    own = {"service": service.name, "service_version": service.version}
    filled = rows.with_columns(**{name: pl.lit(own[name]) for name in _OWN})
    absent = {n: pl.lit(None, dtype=t) for n, t in schema.items() if n not in filled.columns}
    made = filled.with_columns(**absent).select(list(schema)).cast(pl.Schema(schema))
    if made["time"].null_count() or made["request_id"].null_count():
        raise ValueError("a request_id or time is missing")
    return made
