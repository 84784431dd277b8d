"""Compares the features that were served with those of the backfill at the same time.

What differs is told apart by its cause:

* late: the served value is what could be known then; an event of before arrived, or was corrected,
  only afterwards. Training with `as_known` sees the same value.
* stale: the store had an older value of the change log, which had been right at its `valid_from`:
  the newer one was written too late or not at all.
* missing_online, missing_offline, differing: skew. Training sees another value than serving.

`expired` are values that neither side has any more by the TTL: they are equal, but worth a number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from components.feature_join.point_in_time import point_in_time_join
from components.features.service import FeatureService
from components.features.view import Selection
from components.served_log.columns import FEATURE, KEY, VALID_FROM

KINDS = (
    "equal", "expired", "late", "stale", "differing", "missing_online", "missing_offline",
)  # fmt: skip
"""Each compared row is one of these."""
_SKEWED = ("stale", "differing", "missing_online", "missing_offline")
_SHOWN = 5
# No name of a key or feature has a dot.
_AT, _FROM, _KIND, _ONLINE, _OFFLINE, _ID = (
    "served.at", "offline.from", "skew.kind", "skew.online", "skew.offline", "served.id",
)  # fmt: skip

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
class FeatureSkew:
    """One feature, compared row by row."""

    view: str
    feature: str
    rows: int
    """That were compared: the sum of `kinds`."""
    kinds: Mapping[str, int]
    """Of KINDS."""
    largest: float | None
    """Largest |online - offline| where both are there; of times in seconds; None: not numbers."""
    examples: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """kind, request_id, time, keys, online, offline."""

    @property
    def skewed(self) -> int:
        """Rows whose difference is neither late nor expired."""
        return sum(self.kinds[kind] for kind in _SKEWED)

    @property
    def share(self) -> float:
        """`skewed` over `rows`; 0 without rows."""
        return self.skewed / self.rows if self.rows else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, times as ISO 8601."""
        return {**asdict(self), "skewed": self.skewed, "share": self.share}


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
            "features": [one.to_dict() for one in self.features],
            "alarms": [f"{one.view}.{one.feature}" for one in self.alarms],
        }  # fmt: skip


def view_skew(
    served: pl.DataFrame, selection: Selection, logs: ViewLogs, tolerance: float = 1e-9
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
    rows = keys.with_columns(served["time"].alias(_AT))
    offline = _as_of(rows, selection, logs.final)
    found = []
    known = before = None
    for feature in features:
        online = served[f"{FEATURE}{feature}"]
        kinds = _kinds(online, offline[feature], offline[_EXPIRED], tolerance)
        if (bad := ~kinds.is_in(["equal", "expired"])).any():
            if known is None:
                known = _known(rows, selection, logs)
                before = _before(rows, served, selection, logs)
            kinds = _explained(kinds, bad, online, known[feature], before, feature, tolerance)
        found.append(_feature(view.name, feature, served, keys, kinds, online, offline[feature]))
    return found


_EXPIRED = "offline.expired"


def _as_of(
    rows: pl.DataFrame, selection: Selection, log: pl.DataFrame | pl.LazyFrame
) -> pl.DataFrame:
    """The features at _AT, when they became valid, and whether they had expired (then null)."""
    view = selection.view
    dated = log.lazy().with_columns(pl.col("valid_from").alias(_FROM))
    joined = point_in_time_join(
        rows, dated, keys=view.keys, label_time=_AT, features=[*selection.features, _FROM],
        ttl_us=None, boundary="inclusive",
    )  # fmt: skip
    if view.ttl_us is None:
        return joined.with_columns(pl.lit(False).alias(_EXPIRED))
    age = pl.col(_AT) - pl.col(_FROM)
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
    dated = rows.with_columns(served[f"{VALID_FROM}{selection.view.name}"].alias(_AT))
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
    frame = pl.DataFrame([kinds.alias(_KIND), bad.alias("bad")])
    if len(known):
        late = same(online, known, tolerance)
        frame = frame.with_columns(
            pl.when(pl.col("bad") & late).then(pl.lit("late")).otherwise(_KIND).alias(_KIND)
        )
    if before is not None:
        older = same(online, before[feature], tolerance) & before[_FROM].is_not_null()
        differs = pl.col(_KIND).is_in(["differing", "missing_offline", "missing_online"])
        frame = frame.with_columns(
            pl.when(differs & older).then(pl.lit("stale")).otherwise(_KIND).alias(_KIND)
        )
    return frame[_KIND]


def _kinds(
    online: pl.Series, offline: pl.Series, expired: pl.Series, tolerance: float
) -> pl.Series:
    frame = pl.DataFrame(
        {"on": online.is_null(), "off": offline.is_null(), "expired": expired}
    ).with_columns(same(online, offline, tolerance).alias("same"))
    return frame.select(
        pl.when(pl.col("expired") & pl.col("on"))
        .then(pl.lit("expired"))
        .when("same")
        .then(pl.lit("equal"))
        .when("on")
        .then(pl.lit("missing_online"))
        .when("off")
        .then(pl.lit("missing_offline"))
        .otherwise(pl.lit("differing"))
        .alias(_KIND)
    ).to_series()


def same(one: pl.Series, other: pl.Series, tolerance: float) -> pl.Series:
    """(rows,) whether two values are one; nulls are, and NaNs."""
    if one.dtype.is_float() and other.dtype.is_numeric():
        frame = pl.DataFrame([one.alias("a"), other.cast(pl.Float64).alias("b")])
        a, b = pl.col("a"), pl.col("b")
        size = pl.max_horizontal(a.abs(), b.abs())
        near = (a == b) | ((a - b).abs() <= tolerance * size) & size.is_finite()
        both_null = a.is_null() & b.is_null()
        return frame.select((near.fill_null(False) | both_null).alias("same")).to_series()
    return one.eq_missing(other.cast(one.dtype))


def feature_skew(
    view: str,
    feature: str,
    served: pl.DataFrame,
    keys: Sequence[str],
    offline: pl.Series,
    tolerance: float = 1e-9,
) -> FeatureSkew:
    """Compares one feature with what it should have been, where nothing can be late or stale."""
    online = served[f"{FEATURE}{feature}"]
    expired = pl.Series([False]).new_from_index(0, served.height)
    kinds = _kinds(online, offline, expired, tolerance)
    named = pl.DataFrame([served[f"{KEY}{key}"].alias(key) for key in keys])
    return _feature(view, feature, served, named, kinds, online, offline)


def _feature(
    view: str,
    feature: str,
    served: pl.DataFrame,
    keys: pl.DataFrame,
    kinds: pl.Series,
    online: pl.Series,
    offline: pl.Series,
) -> FeatureSkew:
    counts = dict(kinds.value_counts().iter_rows())
    columns = [served["request_id"].alias(_ID), served["time"].alias(_AT)]
    columns += [kinds.alias(_KIND), online.alias(_ONLINE), offline.alias(_OFFLINE)]
    frame = keys.hstack(columns).filter(~pl.col(_KIND).is_in(["equal", "expired"]))
    largest = _largest(frame[_ONLINE], frame[_OFFLINE])
    order = {kind: place for place, kind in enumerate(reversed(KINDS))}
    worst = frame.sort(
        pl.col(_KIND).replace_strict(order, return_dtype=pl.Int8), maintain_order=True
    )
    picked = worst.filter(pl.int_range(pl.len()).over(_KIND) < _SHOWN)
    examples = tuple(
        {
            "kind": row[_KIND], "request_id": row[_ID], "time": row[_AT],
            "keys": {key: row[key] for key in keys.columns},
            "online": row[_ONLINE], "offline": row[_OFFLINE],
        }
        for row in picked.iter_rows(named=True)
    )  # fmt: skip
    amounts = {kind: counts.get(kind, 0) for kind in KINDS}
    return FeatureSkew(view, feature, served.height, amounts, largest, examples)


def _largest(online: pl.Series, offline: pl.Series) -> float | None:
    if isinstance(online.dtype, pl.Datetime):
        online, offline = online.dt.epoch("us") / 1e6, offline.dt.epoch("us") / 1e6
    if not online.dtype.is_numeric():
        return None
    difference = (online - offline).abs().drop_nulls()
    return float(difference.max()) if len(difference) else None  # type: ignore[arg-type]


def service_skew(
    served: pl.DataFrame,
    service: FeatureService,
    logs: Callable[[Selection], ViewLogs],
    *,
    start: datetime,
    end: datetime,
    as_of: datetime | None = None,
    max_share: float = 0.0,
) -> SkewReport:
    """Compares all features of a service.

    Args:
      served: Rows of the log of served vectors of this service.
      service: What was served.
      logs: View -> what the backfill made of it.
      start: For the report, as end: when the rows were served.
      end: Exclusive.
      as_of: How far the backfills reach; rows of later are not compared.
      max_share: See SkewReport.

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
    return SkewReport(service.name, start, end, served.height, why, tuple(found), max_share)


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
        pl.col("time").alias(_AT), *(pl.col(n).alias(p) for n, p in inputs.items())
    )
    computed = with_on_demand(service, frame, _AT)
    return [
        feature_skew(one.name, name, served, service.keys, computed[name])
        for one in service.on_demand
        for name in one.schema
    ]
