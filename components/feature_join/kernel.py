"""The join itself: which row of the log each label is given.

Times are whole microseconds, so that "before t" is "up to t - 1", and one kind of search does both.
The search sees keys, times and row numbers only, under names of its own: no column of the labels or
the log can be in its way.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from components.errors import BeamfleetError
from components.feature_join.rules import CREATED, Rules, key_series, time_series

_AT, _ROW, _CREATED, _RANK, _KEY = "at", "row", "created", "rank", "key"


@dataclass(frozen=True)
class OrderedLog:
    """A log, ready to be searched for any number of labels."""

    search: pl.DataFrame
    """k0, k1…, at, row: of each key in the order of `at`; of equal ones the last row counts."""
    values: pl.DataFrame
    """at, created (microseconds, created may be null), f0, f1…; by row."""


def ordered(log: pl.DataFrame, rules: Rules) -> OrderedLog:
    """Sorts a log, unless it is in order.

    Raises:
      BeamfleetError: a column is missing or of a wrong type.
    """
    log = log.select(rules.log_columns(log.columns))
    at = time_series(log, rules.time, "log").alias(_AT)
    if CREATED in log.columns:
        created = time_series(log, CREATED, "log").alias(_CREATED)
    else:
        created = pl.Series(_CREATED, [None], dtype=pl.Int64).new_from_index(0, log.height)
    keys = [key_series(log, name, "log").alias(key) for key, name in _numbered(rules.keys)]
    search = pl.DataFrame([*keys, at, created]).with_row_index(_ROW)
    if any(series.null_count() for series in (*keys, at)):
        search = search.drop_nulls([_AT, *_names(keys)])
    search = _as_known(search, _names(keys)) if rules.as_known else _sorted(search, _names(keys))
    features = [log[name].alias(f"f{i}") for i, name in enumerate(rules.features)]
    return OrderedLog(
        search.select(*_names(keys), _AT, _ROW), pl.DataFrame([at, created, *features])
    )


def joined(labels: pl.DataFrame, logs: Iterable[OrderedLog], rules: Rules) -> pl.DataFrame:
    """The labels as they are, with the features.

    Args:
      labels: Any rows, in any order.
      logs: Parts of one log, cut anyhow; of equal rows that of the later part counts.

    Raises:
      BeamfleetError: a column is missing, of a wrong type, or would be there twice.
    """
    rules.check_labels(labels.columns)
    asked = time_series(labels, rules.label_time, "labels").alias(_AT) - rules.offset_us
    best: pl.DataFrame | None = None
    for log in logs:
        found = _found(labels, asked, log, rules)
        best = found if best is None else _newest(best, found)
    if best is None:
        raise BeamfleetError("point-in-time join: expected a part of the log at least")
    if rules.ttl_us is not None:
        fresh = best[_AT] >= asked - rules.ttl_us
        best = best.select(pl.when(fresh).then(pl.all()))
    features = [best[f"f{i}"].alias(name) for i, name in enumerate(rules.features)]
    return labels.hstack(features)


def _found(labels: pl.DataFrame, asked: pl.Series, log: OrderedLog, rules: Rules) -> pl.DataFrame:
    """The row of each label in `values`; nulls if there is none."""
    keys = []
    for key, name in _numbered(rules.keys):
        values, other = key_series(labels, name, "labels"), log.search[key].dtype
        if pl.Null not in (values.dtype, other) and values.dtype != other:
            raise BeamfleetError(
                f"point-in-time join: key {name} is {values.dtype} in the labels and {other} in "
                "the log; cast one of them"
            )
        keys.append(values.alias(key).cast(other))
    last = (asked - 1 if rules.boundary == "strict" else asked).alias(_AT)
    left = pl.DataFrame([*keys, last]).with_row_index("label").drop_nulls().sort(_AT)
    rows = pl.Series(_ROW, [None], dtype=log.search[_ROW].dtype).new_from_index(0, labels.height)
    if log.search.height:
        by = _names(keys)
        found = left.join_asof(log.search, on=_AT, by=by, check_sortedness=False)
        rows = rows.scatter(found["label"], found[_ROW])
    return log.values.select(pl.all().gather(rows))


def _newest(before: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Of two rows a label the newer, then the one created later, then that of the later part."""
    at, was = found[_AT], before[_AT]
    known = found[_CREATED].fill_null(_NEVER) >= before[_CREATED].fill_null(_NEVER)
    newer = at.is_not_null() & (was.is_null() | (at > was) | ((at == was) & known))
    if found.schema != before.schema:
        raise BeamfleetError(
            "point-in-time join: the parts of the log differ in the types of their features"
        )
    both = zip(found, before, strict=True)
    return pl.DataFrame([one.zip_with(newer, other) for one, other in both])


_NEVER = -(2**63)


def _sorted(search: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """In the order of time and created for each key."""
    if _in_order(search, [*keys, _AT, _CREATED]):
        return search
    return search.sort(_AT, _CREATED, maintain_order=True)


def _as_known(search: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """`at` becomes the time at which a row was known; what an older row comes too late for is gone.

    Of the rows known by t the greatest of (time, created) is wanted. In the order in which they got
    known, those that raise the running maximum are it from then on.
    """
    order = [*keys, _AT, _CREATED]
    if not _in_order(search, order):
        search = search.sort(order, maintain_order=True)
    ranked = search.with_columns(pl.struct(keys).rle_id().alias(_KEY)).with_row_index(_RANK)
    known = ranked.with_columns(pl.max_horizontal(_AT, _CREATED).alias(_AT))
    arrived = known.sort(_KEY, _AT, _RANK)
    return arrived.filter(pl.col(_RANK) == pl.col(_RANK).cum_max())


def _in_order(search: pl.DataFrame, columns: list[str]) -> bool:
    """Whether no row is less than the one before; False if a value is null."""
    before, after = search.head(-1).lazy(), search.tail(-1).lazy()
    pairs = pl.concat(
        [before.select(columns), after.select(columns).rename(lambda name: f"{name}_")],
        how="horizontal",
    )
    ordered = pl.lit(True)
    for name in reversed(columns):
        one, other = pl.col(name), pl.col(f"{name}_")
        ordered = (one < other) | ((one == other) & ordered)
    return bool(pairs.select(ordered.all(ignore_nulls=False)).collect().item() or False)


def _numbered(keys: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(f"k{i}", name) for i, name in enumerate(keys)]


def _names(series: list[pl.Series]) -> list[str]:
    return [one.name for one in series]
