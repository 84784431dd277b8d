"""Labels that arrive later, joined to the predictions that were made without them."""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import polars as pl

from components.errors import BeamfleetError
from components.feature_values.keyed import as_time
from components.features.service import FeatureService
from components.features.source import Source
from components.served_log.columns import KEY, REQUEST

LABEL, JUDGED_AT = "label", "judged_at"
_ID, _AT, _ROW, _CREATED = "label.id", "label.time", "label.row", "label.created"


@dataclass(frozen=True)
class LabelCounts:
    """predictions = matched + waiting + unmatched + repeated."""

    predictions: int
    matched: int
    """With a label; those are judged."""
    waiting: int
    """Too young: the labels of one class may come sooner than those of another, so that rows are
    judged only when all had time to come."""
    unmatched: int
    """Without a label although it should have come."""
    repeated: int
    """Of a request that was answered before: only the first answer counts."""
    labels: int
    """Different labels that had arrived."""
    labels_without_prediction: int
    rejected: int
    """Rows of the source without a label, a time, or what they are matched by."""

    def to_dict(self) -> dict[str, int]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Labelled:
    """Predictions with the label that came later."""

    rows: pl.DataFrame = field(repr=False)
    """Matched rows only: columns of the log, `label` (text), and `judged_at`: when there was the
    label and no other was waited for any more."""
    counts: LabelCounts


def match_labels(
    served: pl.DataFrame,
    labels: pl.DataFrame,
    service: FeatureService,
    *,
    now: datetime,
    wait: timedelta,
    within: timedelta | None = None,
) -> Labelled:
    """Joins labels to predictions.

    By the source's `id`, if it has one: the request column of that name, or else the request_id.
    What finds none that way, by all keys of the service and the nearest time, if `within` is given;
    one label goes to one prediction at most. Of several labels of one id, the one that arrived last
    by `now` counts.

    Args:
      served: Rows of the log.
      labels: As the source of labels has them.
      service: With labels.
      now: Labels that arrived later are not known.
      wait: How long after its prediction a label may come.
      within: How far a label's time may be from that of the request.

    Raises:
      BeamfleetError: the service has no labels, or the source lacks a column.
    """
    source = _source(service)
    known, rejected = _known(labels, service, source, now)
    once = _first_answers(served, service, source)
    found = once.join(known.drop_nulls(_ID).select(_ID, LABEL, _CREATED), on=_ID, how="left")
    if within is not None:
        found = _by_time(found, known, service, within)
    old = found.filter(pl.col("time") <= now - wait)
    judged_at = pl.max_horizontal(pl.col(_CREATED), pl.col("time") + wait)
    matched = old.filter(pl.col(LABEL).is_not_null()).with_columns(judged_at.alias(JUDGED_AT))
    counts = LabelCounts(
        predictions=served.height,
        matched=matched.height,
        waiting=found.height - old.height,
        unmatched=old.height - matched.height,
        repeated=served.height - once.height,
        labels=known.height,
        labels_without_prediction=known.height - found[LABEL].count(),
        rejected=rejected,
    )
    return Labelled(matched.drop(_ROW, _ID, _CREATED), counts)


def read_labels(service: FeatureService) -> pl.DataFrame:
    """All rows of the service's source of labels.

    Raises:
      BeamfleetError: it has none, or no file can be read.
    """
    from components.feature_backfill.source_files import batches_of, pieces_of

    source = _source(service)
    batches = [batch for piece in pieces_of([source]) for batch in batches_of(piece, source)]
    # What is no row is counted as one without anything: `match_labels` rejects it.
    unreadable = sum(batch.unreadable.height for batch in batches)
    nothing = pl.DataFrame({source.event_time: pl.Series([None] * unreadable, dtype=pl.Null)})
    return pl.concat([nothing, *(batch.rows for batch in batches)], how="diagonal_relaxed")


def _source(service: FeatureService) -> Source:
    if service.labels is None or not service.label:
        raise BeamfleetError(
            f"feature service {service.name!r} has no labels to compare predictions with; declare "
            "labels=Source(...), label='...'"
        )
    return service.labels


def _known(
    labels: pl.DataFrame, service: FeatureService, source: Source, now: datetime
) -> tuple[pl.DataFrame, int]:
    """keys, time, id, label as text, created: one row for each id, of what had arrived."""
    needed = [service.label, source.event_time, *filter(None, (source.created, source.id))]
    keys = [key for key in service.keys if key in labels.columns]
    if missing := [name for name in needed if name not in labels.columns]:
        raise BeamfleetError(
            f"source {source.name!r} of labels has no column {', '.join(missing)}; it has "
            f"{', '.join(labels.columns)}"
        )
    created = source.created or source.event_time
    columns = [labels[key] for key in keys]
    columns.append(as_time(labels[source.event_time], f"source {source.name!r}").alias(_AT))
    columns.append(as_time(labels[created], f"source {source.name!r}").alias(_CREATED))
    given = labels[service.label]
    text = given.cast(pl.Int8).cast(pl.String) if given.dtype == pl.Boolean else None
    columns.append((given.cast(pl.String) if text is None else text).alias(LABEL))
    if source.id:
        columns.append(labels[source.id].cast(pl.String).alias(_ID))
    frame = pl.DataFrame(columns)
    asked = [LABEL, _AT, _CREATED, *([_ID] if source.id else keys)]
    whole = frame.drop_nulls(asked)
    arrived = whole.filter(pl.col(_CREATED) <= now).sort(_CREATED, maintain_order=True)
    if not source.id:
        arrived = arrived.with_columns(pl.lit(None, pl.String).alias(_ID))
    identity = [_ID] if source.id else [*keys, _AT]
    return arrived.unique(identity, keep="last", maintain_order=True), frame.height - whole.height


def _first_answers(served: pl.DataFrame, service: FeatureService, source: Source) -> pl.DataFrame:
    """Rows in order of time with their number and the id of their label; of each request once."""
    ordered = served.sort("time", "request_id").with_row_index(_ROW)
    return ordered.with_columns(_id_column(service, source).alias(_ID)).filter(_is_first())


def _id_column(service: FeatureService, source: Source) -> pl.Expr:
    """The id that a label would have. A request's id says which row only if it has one row."""
    if not source.id:
        return pl.lit(None, pl.String)
    if source.id in service.keys:
        return pl.col(f"{KEY}{source.id}").cast(pl.String)
    if source.id in service.request:
        return pl.col(f"{REQUEST}{source.id}").cast(pl.String)
    return pl.when(pl.len().over("request_id", "time") == 1).then("request_id")


def _is_first() -> pl.Expr:
    """Whether a row is of the first answer: the rows of one request have one time."""
    first = pl.col("time") == pl.col("time").min().over("request_id")
    return first & (pl.col(_ID).is_null() | pl.col(_ID).is_first_distinct())


def _by_time(
    found: pl.DataFrame, known: pl.DataFrame, service: FeatureService, within: timedelta
) -> pl.DataFrame:
    """Labels by keys and nearest time, for predictions that have none yet, each used once."""
    if missing := [key for key in service.keys if key not in known.columns]:
        raise BeamfleetError(
            f"the labels of service {service.name!r} have no key {', '.join(missing)}: they cannot "
            "be matched by keys and time"
        )
    taken = found.filter(pl.col(LABEL).is_not_null())[_ID].implode()
    free = known.filter(~pl.col(_ID).is_in(taken).fill_null(False)).with_row_index("label.number")
    open_ = found.filter(pl.col(LABEL).is_null()).drop(LABEL, _CREATED, _ID)
    near = open_.sort("time").join_asof(
        free.sort(_AT), left_on="time", right_on=_AT, strategy="nearest", tolerance=within,
        by_left=[f"{KEY}{key}" for key in service.keys], by_right=list(service.keys),
        check_sortedness=False, coalesce=False,
    )  # fmt: skip
    gap = (pl.col("time") - pl.col(_AT)).abs()
    best = near.filter(pl.col(LABEL).is_not_null()).sort(gap, "time", _ROW)
    best = best.unique("label.number", keep="first", maintain_order=True)
    given = best.select(_ROW, LABEL, _CREATED)
    return found.update(given, on=_ROW, how="left")
