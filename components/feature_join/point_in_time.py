"""Point-in-time join: each label is given the values of its time, and nothing of the future."""

from collections.abc import Iterator, Sequence

import polars as pl

from components.feature_join.kernel import OrderedLog, joined, ordered
from components.feature_join.rules import Rules
from components.features.service import Boundary

_CHUNK = 1_000_000


def point_in_time_join(
    labels: pl.DataFrame,
    log: pl.DataFrame | pl.LazyFrame,
    *,
    keys: Sequence[str],
    label_time: str,
    features: Sequence[str],
    ttl_us: int | None,
    boundary: Boundary,
    offset_us: int = 0,
    as_known: bool = False,
    time: str = "valid_from",
) -> pl.DataFrame:
    """The labels in their order, with the features of each as of its time.

    A label whose key or time is null, that finds no row, or whose row has expired, has nulls. Of
    rows of the same time the one created last is taken, then the last of the log.

    Args:
      labels: Any columns beside keys and time; rows may repeat.
      log: keys, `time`, features, and `created` (which may be missing unless `as_known`); a change
        log, or rows of any order.

    Others are as in Rules.

    Raises:
      BeamfleetError: a column is missing, of a wrong type, or would be there twice.
    """
    rules = Rules(
        tuple(keys), label_time, tuple(features), ttl_us, boundary, offset_us, as_known, time
    )
    rules.check_labels(labels.columns)
    return joined(labels, [_read(log, rules)], rules)


def join_in_chunks(
    labels: pl.LazyFrame,
    parts: Sequence[pl.DataFrame | pl.LazyFrame],
    rules: Rules,
    *,
    chunk_rows: int = _CHUNK,
) -> Iterator[pl.DataFrame]:
    """The same for labels, and a log, that do not fit into memory.

    Holds one chunk of the labels and one part of the log at a time; several parts are read again
    for each chunk.

    Args:
      labels: Such as `pl.scan_parquet(...)`; read once, in order.
      parts: The log, cut anyhow: its Parquet files, one LazyFrame each.
      chunk_rows: About so many labels at a time.

    Yields:
      The labels of a chunk with their features; all chunks together are the labels in order.
    """
    rules.check_labels(labels.collect_schema().names())
    only = [_read(parts[0], rules)] if len(parts) == 1 else None
    for chunk in _chunks(labels, chunk_rows):
        yield joined(chunk, only or (_read(part, rules) for part in parts), rules)


def _chunks(labels: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    """One of no rows if there are none."""
    batches = labels.collect_batches(chunk_size=rows, maintain_order=True)
    yield next(batches, pl.DataFrame(schema=labels.collect_schema()))
    yield from batches


def _read(log: pl.DataFrame | pl.LazyFrame, rules: Rules) -> OrderedLog:
    if isinstance(log, pl.LazyFrame):
        log = log.select(rules.log_columns(log.collect_schema().names())).collect()
    return ordered(log, rules)
