"""Rows of a service: labels, each with the features of its time."""

from collections.abc import Callable

import polars as pl

from components.feature_join.point_in_time import point_in_time_join
from components.feature_values.on_demand import REQUEST_TIME, with_on_demand
from components.features.group import FeatureGroup
from components.features.service import FeatureService
from components.features.view import FeatureView

Log = Callable[[FeatureView | FeatureGroup, pl.DataFrame], pl.DataFrame | pl.LazyFrame]
"""The rows of a view or group, at least those of the entities in the frame."""


def with_features(
    service: FeatureService, labels: pl.DataFrame, log: Log, *, as_known: bool
) -> pl.DataFrame:
    """Adds the features of the service, as they were `service.offset_us` before each label.

    Args:
      labels: Have the service's keys, event_time and request columns.
      log: Gives the change log of each view: with `as_known` the one of what was known.
      as_known: Of groups, only rows that had been created by then.

    Returns:
      The labels in their order, with the service's features behind their columns.
    """
    rows = labels
    for view, features in service.looked_up.items():
        keys = list(view.keys)
        found = point_in_time_join(
            labels.select(*keys, "event_time"),
            log(view, labels.select(keys).unique()),
            keys=keys,
            label_time="event_time",
            features=features,
            ttl_us=view.ttl_us,
            boundary=service.boundary,
            offset_us=service.offset_us,
            as_known=as_known and isinstance(view, FeatureGroup),
        )
        rows = rows.hstack(found.select(features))
    # What is asked for at this time in serving is labelled so much later.
    asked = pl.col("event_time") - pl.duration(microseconds=service.offset_us)
    made = with_on_demand(service, rows.with_columns(asked.alias(REQUEST_TIME)), REQUEST_TIME)
    return made.select(*labels.columns, *service.features)
