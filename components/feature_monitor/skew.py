"""Compares the features that were served with those of the backfill at the same time.

What differs is told apart by its cause:

* late: the served value is what could be known then; an event of before arrived, or was corrected,
  only afterwards. Training with `as_known` sees the same value.
* stale: the store had an older value of the change log, which had been right at its `valid_from`:
  the newer one was written too late or not at all.
* missing_online, missing_offline, differing: skew. Training sees another value than serving.

`expired` are values that neither side has any more by the TTL: they are equal, but worth a number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from components.feature_join.point_in_time import point_in_time_join
from components.feature_monitor.values import AT, KIND, FeatureSkew, counted, kinds_of, same
from components.features.service import FeatureService
from components.features.view import Selection
from components.served_log.columns import FEATURE, KEY, VALID_FROM

_TOLERANCE = 1e-9
_FROM, _EXPIRED = "offline.from", "offline.expired"

KnownLog = Callable[[pl.DataFrame], pl.DataFrame]
"""Distinct keys -> what could be known of them: a change log with `valid_from` as known."""


@dataclass(frozen=True)
class ViewLogs:
    """The offline side of one view."""

    final: pl.DataFrame | pl.LazyFrame
    """Its change log."""
    known: KnownLog | None = None
    """None: lateness cannot be told from skew."""


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


def view_skew(
    served: pl.DataFrame, selection: Selection, logs: ViewLogs, tolerance: float = _TOLERANCE
) -> list[FeatureSkew]:
    """Compares the features of one view.

    Args:
      served: Rows of the log of served vectors.
      selection: The view and its features that were served.
      logs: What the backfill made of it.
      tolerance: Relative difference of floats that is none.
    """
    view, features = selection.view, selection.features
    keys = pl.DataFrame([served[f"{KEY}{key}"].alias(key) for key in view.keys])
    rows = keys.with_columns(served["time"].alias(AT))
    offline = _as_of(rows, selection, logs.final)
    found = []
    known = before = None
    for feature in features:
        online = served[f"{FEATURE}{feature}"]
        kinds = kinds_of(online, offline[feature], offline[_EXPIRED], tolerance)
        if (bad := ~kinds.is_in(["equal", "expired"])).any():
            if known is None:
                known = _known(rows, selection, logs)
                before = _before(rows, served, selection, logs)
            kinds = _explained(kinds, bad, online, known[feature], before, feature, tolerance)
        found.append(counted(view.name, feature, served, keys, kinds, online, offline[feature]))
    return found


def _as_of(
    rows: pl.DataFrame, selection: Selection, log: pl.DataFrame | pl.LazyFrame
) -> pl.DataFrame:
    """The features at AT, when they became valid, and whether they had expired (then null)."""
    view = selection.view
    dated = log.lazy().with_columns(pl.col("valid_from").alias(_FROM))
    joined = point_in_time_join(
        rows, dated, keys=view.keys, label_time=AT, features=[*selection.features, _FROM],
        ttl_us=None, boundary="inclusive",
    )  # fmt: skip
    if view.ttl_us is None:
        return joined.with_columns(pl.lit(False).alias(_EXPIRED))
    age = pl.col(AT) - pl.col(_FROM)
    expired = (age > pl.duration(microseconds=view.ttl_us)).fill_null(False)
    gone = joined.with_columns(expired.alias(_EXPIRED))
    return gone.with_columns(
        pl.when(_EXPIRED).then(None).otherwise(pl.col(name)).alias(name)
        for name in selection.features
    )


def _known(rows: pl.DataFrame, selection: Selection, logs: ViewLogs) -> pl.DataFrame:
    """The features as they could be known; without a known log never equal to anything."""
    if logs.known is None:
        return pl.DataFrame({name: [None] for name in selection.features}).clear()
    return _as_of(rows, selection, logs.known(rows.select(selection.view.keys).unique()))


def _before(
    rows: pl.DataFrame, served: pl.DataFrame, selection: Selection, logs: ViewLogs
) -> pl.DataFrame:
    """The features of the change log at the `valid_from` of what was served."""
    dated = rows.with_columns(served[f"{VALID_FROM}{selection.view.name}"].alias(AT))
    return _as_of(dated, selection, logs.final)


def _explained(
    kinds: pl.Series,
    bad: pl.Series,
    online: pl.Series,
    known: pl.Series,
    before: pl.DataFrame | None,
    feature: str,
    tolerance: float,
) -> pl.Series:
    """The same kinds, with late and stale told apart."""
    frame = pl.DataFrame([kinds.alias(KIND), bad.alias("bad")])
    if len(known):
        late = same(online, known, tolerance)
        frame = frame.with_columns(
            pl.when(pl.col("bad") & late).then(pl.lit("late")).otherwise(KIND).alias(KIND)
        )
    if before is not None:
        older = same(online, before[feature], tolerance) & before[_FROM].is_not_null()
        differs = pl.col(KIND).is_in(["differing", "missing_offline", "missing_online"])
        frame = frame.with_columns(
            pl.when(differs & older).then(pl.lit("stale")).otherwise(KIND).alias(KIND)
        )
    return frame[KIND]


def service_skew(
    served: pl.DataFrame,
    service: FeatureService,
    logs: Callable[[Selection], ViewLogs],
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
      logs: View -> what the backfill made of it.
      start: For the report, as end: when the rows were served.
      end: Exclusive.
      as_of: How far the backfills reach; rows of later are not compared.
      max_share: See SkewReport, as not_logged.

    Raises:
      BeamfleetError: a key of the log has another type than one of the served rows.
    """
    why: dict[str, int] = {}
    kept = served
    mine = kept.filter(pl.col("service_version") == service.version)
    if other := kept.height - mine.height:
        why[f"served by another version than {service.version} of the service"] = other
    if as_of is not None:
        reached = mine.filter(pl.col("time") <= as_of)
        if beyond := mine.height - reached.height:
            why[f"served after {as_of.isoformat()}, up to which there is a backfill"] = beyond
        mine = reached
    found = [
        one for selection in service.needed for one in view_skew(mine, selection, logs(selection))
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
    frame = served.select(
        pl.col("time").alias(AT), *(pl.col(n).alias(p) for n, p in inputs.items())
    )
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
