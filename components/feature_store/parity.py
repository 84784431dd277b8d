"""Whether the stream said of a day what the backfill says of it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from components.features.view import FeatureView

RELATIVE = 1e-9
"""Floats that are so close are the same: two ways of adding differ in the last digits."""
_EXAMPLES = 20


@dataclass(frozen=True)
class Parity:
    """The change points of one day, UTC, of a view: as streamed, and as backfilled."""

    view: str
    day: date
    both: int
    """(keys, valid_from) that both have."""
    only_stream: int
    only_backfill: int
    """Such as of events that came after the lateness."""
    differing: dict[str, int]
    """Feature -> at how many points of `both` the values differ."""
    examples: pl.DataFrame
    """keys, valid_from, feature (null: one of them has no row), stream, backfill (as text)."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.only_stream or self.only_backfill or any(self.differing.values()))


def compared(
    view: FeatureView, day: date, streamed: pl.LazyFrame, backfilled: pl.LazyFrame
) -> Parity:
    """Compares two change logs on one day.

    Args:
      streamed: keys, valid_from, features; the last of what the stream wrote for each
        (keys, valid_from).
      backfilled: The same from the backfill.
    """
    points = [*view.keys, "valid_from"]
    begin = datetime.combine(day, time(), UTC)
    inside = pl.col("valid_from").is_between(begin, begin + timedelta(days=1), closed="left")
    one, other = (
        log.filter(inside).select(*points, *view.features, pl.lit(True).alias(side)).collect()
        for log, side in ((streamed, "stream"), (backfilled, "backfill"))
    )
    found = one.join(other, on=points, how="full", coalesce=True, suffix="\0", nulls_equal=True)
    both = found.filter(pl.col("stream") & pl.col("backfill"))
    apart = {name: both.filter(_differ(name, view)) for name in view.features}
    alone = found.filter(~(pl.col("stream") & pl.col("backfill")).fill_null(False))
    return Parity(
        view=view.name,
        day=day,
        both=both.height,
        only_stream=alone["stream"].count(),
        only_backfill=alone["backfill"].count(),
        differing={name: rows.height for name, rows in apart.items()},
        examples=_examples(view, points, alone, apart),
    )


def _differ(name: str, view: FeatureView) -> pl.Expr:
    one, other = pl.col(name), pl.col(f"{name}\0")
    same = one.eq_missing(other)
    if view.schema[name] is float:
        most = pl.max_horizontal(one.abs(), other.abs())
        same |= (most.is_finite() & ((one - other).abs() <= RELATIVE * most)).fill_null(False)
    return ~same


def _examples(
    view: FeatureView, points: list[str], alone: pl.DataFrame, apart: dict[str, pl.DataFrame]
) -> pl.DataFrame:
    def shown(rows: pl.DataFrame, feature: str | None, *values: pl.Expr) -> pl.DataFrame:
        named = pl.lit(feature, pl.String).alias("feature")
        texts = [v.cast(pl.String).alias(n) for v, n in zip(values, _SIDES, strict=True)]
        return rows.sort(points).head(_EXAMPLES).select(*points, named, *texts)

    missing = (pl.when(pl.col(side)).then(pl.lit("a row")) for side in _SIDES)
    parts = [shown(alone, None, *missing)]
    parts += [shown(rows, name, pl.col(name), pl.col(f"{name}\0")) for name, rows in apart.items()]
    return pl.concat(parts).sort(points, maintain_order=True).head(_EXAMPLES)


_SIDES = ("stream", "backfill")
