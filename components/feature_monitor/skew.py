"""Compares the features that were served with those of the backfill at the same time.

What differs is told apart by its cause:

* late: the served value is what could be known then; an event of before arrived, or was corrected,
  only afterwards. Training with `as_known` sees the same value.
* stale: the store had an older value of the change log, which had been right at its `valid_from`:
  the newer one was written too late or not at all.
* missing_online, missing_offline, differing: skew. Training sees another value than serving.

`expired` are values that neither side has any more by the TTL: they are equal, but worth a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from components.feature_monitor.offline import EXPIRED, Offline
from components.feature_monitor.values import AT, KIND, FeatureSkew, counted, kinds_of, same
from components.feature_store.rows import Log
from components.features.service import FeatureService
from components.served_log.columns import FEATURE, KEY, VALID_FROM

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class SkewReport:
    """All features of a service over a time."""

    service: str
    start: datetime
    end: datetime
    rows: int
    """That were served."""
    not_compared: Mapping[str, int]
    """Why -> rows."""
    features: tuple[FeatureSkew, ...]
    max_share: float
    """Of skewed rows of a feature; more is an alarm."""
    not_logged: int = 0
    """Rows that were dropped by the log, counted when they were: nobody can compare them."""

    @property
    def alarms(self) -> tuple[FeatureSkew, ...]:
        """Features with more skew than that, worst first."""
        found = [one for one in self.features if one.share > self.max_share]
        return tuple(sorted(found, key=lambda one: -one.share))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "service": self.service, "start": self.start, "end": self.end, "rows": self.rows,
            "not_compared": dict(self.not_compared), "max_share": self.max_share,
            "not_logged": self.not_logged,
            "features": [one.to_dict() for one in self.features],
            "alarms": [f"{one.view}.{one.feature}" for one in self.alarms],
        }  # fmt: skip


def view_skew(served: pl.DataFrame, offline: Offline) -> list[FeatureSkew]:
    """Compares the features of one view.

    Args:
      served: Rows of the log of served vectors.
      offline: What the backfill made of the view.
    """
    view = offline.view
    keys = pl.DataFrame([served[f"{KEY}{key}"].alias(key) for key in view.keys])
    rows = keys.with_columns(served["time"].alias(AT))
    final = offline.final(rows)
    found = []
    known = before = None
    for feature in offline.features:
        online = served[f"{FEATURE}{feature}"]
        kinds = kinds_of(online, final[feature], final[EXPIRED], _TOLERANCE)
        if (bad := ~kinds.is_in(["equal", "expired"])).any():
            if known is None or before is None:
                known = offline.known(rows)
                before = offline.valid_from(rows, served[f"{VALID_FROM}{view.name}"])
            kinds = _explained(kinds, bad, online, known[feature], before[feature])
        found.append(counted(view.name, feature, served, keys, kinds, online, final[feature]))
    return found


def _explained(
    kinds: pl.Series, bad: pl.Series, online: pl.Series, known: pl.Series, before: pl.Series
) -> pl.Series:
    """The same kinds, with late and stale told apart."""
    late, older = same(online, known, _TOLERANCE), same(online, before, _TOLERANCE)
    frame = pl.DataFrame([kinds.alias(KIND), bad.alias("bad"), late.alias("late")])
    # A null that was served has no valid_from: nothing that was right once.
    frame = frame.with_columns(stale=older & online.is_not_null())
    return frame.select(
        pl.when(pl.col("bad") & pl.col("late"))
        .then(pl.lit("late"))
        .when(pl.col("bad") & pl.col("stale"))
        .then(pl.lit("stale"))
        .otherwise(KIND)
        .alias(KIND)
    ).to_series()


def service_skew(
    served: pl.DataFrame,
    service: FeatureService,
    log: Log,
    known: Log,
    *,
    start: datetime,
    end: datetime,
    as_of: datetime | None = None,
    max_share: float = 0.0,
    not_logged: int = 0,
) -> SkewReport:
    """Compares all features of a service.

    Args:
      served: Rows of the log of served vectors of this service.
      service: What was served.
      log: Gives the change log of a view, or the rows of a group.
      known: Gives the change log of what was known, or again the rows of a group.
      start: For the report, as end: when the rows were served.
      end: Exclusive.
      as_of: How far the backfills reach; rows of later are not compared.
      max_share: See SkewReport, as not_logged.

    Raises:
      BeamfleetError: a key of the log has another type than one of the served rows.
    """
    why: dict[str, int] = {}
    mine = served.filter(pl.col("service_version") == service.version)
    if other := served.height - mine.height:
        why[f"served by another version than {service.version} of the service"] = other
    if as_of is not None:
        reached = mine.filter(pl.col("time") <= as_of)
        if beyond := mine.height - reached.height:
            why[f"served after {as_of.isoformat()}, up to which there is a backfill"] = beyond
        mine = reached
    found = [
        one
        for view, features in service.looked_up.items()
        for one in view_skew(mine, Offline(service, view, features, log, known))
    ]
    found += _on_demand_skew(mine, service)
    return SkewReport(
        service.name, start, end, served.height, why, tuple(found), max_share, not_logged
    )


def _on_demand_skew(served: pl.DataFrame, service: FeatureService) -> list[FeatureSkew]:
    """On-demand features against their function of the inputs as served: the inputs have theirs."""
    if not service.on_demand or not served.height:
        return []
    from components.feature_values.on_demand import with_on_demand

    prefixed = {name: name.split(".", 1)[1] for name in served.columns if "." in name}
    made = {name for one in service.on_demand for name in one.schema}
    inputs = {
        name: plain
        for name, plain in prefixed.items()
        if not name.startswith(VALID_FROM) and plain not in made
    }
    asked = pl.col("time") - pl.duration(microseconds=service.offset_us)
    frame = served.select(asked.alias(AT), *(pl.col(n).alias(p) for n, p in inputs.items()))
    computed = with_on_demand(service, frame, AT)
    keys = pl.DataFrame([served[f"{KEY}{key}"].alias(key) for key in service.keys])
    fresh = pl.Series([False]).new_from_index(0, served.height)
    found = []
    for one in service.on_demand:
        for name in one.schema:
            online = served[f"{FEATURE}{name}"]
            kinds = kinds_of(online, computed[name], fresh, _TOLERANCE)
            found.append(counted(one.name, name, served, keys, kinds, online, computed[name]))
    return found
