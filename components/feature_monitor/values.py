"""Two columns of values, served and backfilled, compared row by row."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

KINDS = (
    "equal", "expired", "late", "stale", "differing", "missing_online", "missing_offline",
)  # fmt: skip
"""Each compared row is one of these."""
_SKEWED = ("stale", "differing", "missing_online", "missing_offline")
_SHOWN = 5
# No name of a key or feature has a dot.
AT, KIND = "served.at", "skew.kind"
_ONLINE, _OFFLINE, _ID = "skew.online", "skew.offline", "served.id"


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


def counted(
    view: str,
    feature: str,
    served: pl.DataFrame,
    keys: pl.DataFrame,
    kinds: pl.Series,
    online: pl.Series,
    offline: pl.Series,
) -> FeatureSkew:
    """Counts the kinds of a feature, and picks examples of each that is not equal."""
    counts = dict(kinds.value_counts().iter_rows())
    columns = [served["request_id"].alias(_ID), served["time"].alias(AT)]
    columns += [kinds.alias(KIND), online.alias(_ONLINE), offline.alias(_OFFLINE)]
    frame = keys.hstack(columns).filter(~pl.col(KIND).is_in(["equal", "expired"]))
    largest = _largest(frame[_ONLINE], frame[_OFFLINE])
    order = {kind: place for place, kind in enumerate(reversed(KINDS))}
    worst = frame.sort(
        pl.col(KIND).replace_strict(order, return_dtype=pl.Int8), maintain_order=True
    )
    picked = worst.filter(pl.int_range(pl.len()).over(KIND) < _SHOWN)
    examples = tuple(
        {
            "kind": row[KIND], "request_id": row[_ID], "time": row[AT],
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


def kinds_of(
    online: pl.Series, offline: pl.Series, expired: pl.Series, tolerance: float
) -> pl.Series:
    """(rows,) of KINDS, as far as the two values tell."""
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
        .alias(KIND)
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
