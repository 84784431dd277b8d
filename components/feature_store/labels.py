"""The rows that a model learns from or predicts, as their source has them: typed and counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from components.errors import BeamfleetError
from components.feature_backfill.source_files import Batch, batches_of, pieces_of
from components.feature_values.keyed import POLARS_TYPES, as_time
from components.feature_values.on_demand import as_declared
from components.features.names import FeatureType
from components.features.service import FeatureService
from components.features.source import Source

FILE, ROW, REASON = "file", "row", "reason"


@dataclass(frozen=True)
class Labels:
    """Rows in = height of rows + of rejects."""

    rows: pl.DataFrame
    """keys, event_time, created, event_id (if the source has an id), request columns, label; in the
    order of the source."""
    rejects: pl.DataFrame
    """file, row (of the file, from 0), reason."""

    @property
    def rows_in(self) -> int:
        """How many rows there were."""
        return self.rows.height + self.rejects.height


def read_labels(service: FeatureService, *, unlabelled: bool = False) -> Labels:
    """The labels of a service, read from its files.

    Raises:
      BeamfleetError: the service has none, a file cannot be read, or see `typed_labels`.
    """
    source = _labels(service)
    batches = [
        (piece.path, batch) for piece in pieces_of([source]) for batch in batches_of(piece, source)
    ]
    return typed_labels(service, batches, unlabelled=unlabelled)


def typed_labels(
    service: FeatureService, files: Sequence[tuple[str, Batch]], *, unlabelled: bool = False
) -> Labels:
    """The labels of a service, of the types that it declares.

    Args:
      files: Name of each file of the service's labels, and some of its rows.
      unlabelled: Whether a row without a label is one too.

    Raises:
      BeamfleetError: a column is missing or of a type that cannot be meant.
    """
    parts = [_typed(service, name, batch, unlabelled) for name, batch in files]
    if not parts:
        raise BeamfleetError(f"{_where(service)}: expected a file at least")
    _check_label_types(service, parts)
    rows = pl.concat(parts, how="vertical_relaxed")
    if _labels(service).id:
        rows = _once(service, rows)
    place = [FILE, ROW, REASON]
    bad = [rows.filter(pl.col(REASON).is_not_null()).select(place)]
    bad += [one.unreadable.select(pl.lit(file).alias(FILE), ROW, REASON) for file, one in files]
    rejects = pl.concat(bad).sort(FILE, ROW)
    return Labels(rows.filter(pl.col(REASON).is_null()).drop(place), rejects)


def _typed(service: FeatureService, file: str, batch: Batch, unlabelled: bool) -> pl.DataFrame:
    """Rows of one file, with their place, and why a row is none."""
    labels, rows, where = _labels(service), batch.rows, f"{_where(service)}, {file}"
    times = {"event_time": labels.event_time, "created": labels.created or labels.event_time}
    label = [service.label] if service.label else []
    needed = [*service.keys, *times.values(), *filter(None, [labels.id]), *service.request]
    _check_there([*needed, *([] if unlabelled else label)], rows, where)
    columns = {name: _key(rows[name], kind, where) for name, kind in service.key_types.items()}
    columns |= {name: as_time(rows[said], f"{where}: {said}") for name, said in times.items()}
    if labels.id:
        columns["event_id"] = rows[labels.id].cast(pl.String)
    request = {name: kind for name, kind in service.request.items() if name not in service.keys}
    for name, kind in request.items():
        columns[name] = _request(rows[name], kind, f"{where}: {name}")
    columns |= {name: rows[name] for name in label if name in rows.columns}
    wanted = [*service.keys, *times, *([] if unlabelled else label)]
    reasons = [
        pl.when(columns[name].is_null()).then(pl.lit(f"{said} is missing or cannot be read"))
        for name, said in ((name, times.get(name, name)) for name in wanted)
    ] + [
        pl.when(columns[name].is_null() & rows[name].is_not_null()).then(
            pl.lit(f"{name} cannot be read")
        )
        for name in request
    ]
    made = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    numbers = pl.Series(ROW, batch.numbers, dtype=pl.Int64)
    reason = pl.coalesce(reasons).cast(pl.String).alias(REASON)
    return made.with_columns(pl.lit(file).alias(FILE), numbers, reason)


def _check_label_types(service: FeatureService, parts: list[pl.DataFrame]) -> None:
    """The label's type is the file's: true beside "yes" would become text."""
    kinds = {p[FILE][0]: p[service.label].dtype for p in parts if p.height and service.label in p}
    known = {"a number" if k.is_numeric() else str(k) for k in kinds.values() if k != pl.Null}
    if len(known) > 1:
        told = ", ".join(f"{kind} in {file}" for file, kind in kinds.items())
        raise BeamfleetError(f"{_where(service)}: {service.label} is {told}; expected one type")


def _once(service: FeatureService, rows: pl.DataFrame) -> pl.DataFrame:
    """Of rows with the same keys, time and id the first that was created is one."""
    same = [*service.keys, "event_time", "event_id"]
    good = rows.with_row_index("__row__").filter(
        pl.col(REASON).is_null() & pl.col("event_id").is_not_null()
    )
    apart = (*same, "created", FILE, ROW, REASON, "__row__")
    others = [name for name in good.columns if name not in apart]
    first = good.sort("created", *others, maintain_order=True).unique(
        same, keep="first", maintain_order=True
    )
    again = set(good["__row__"]) - set(first["__row__"])
    twice = pl.int_range(pl.len()).is_in(sorted(again))
    reason = pl.lit("the same keys, time and id are there twice; the first that was created counts")
    return rows.with_columns(pl.when(twice).then(reason).otherwise(pl.col(REASON)).alias(REASON))


def _key(values: pl.Series, kind: FeatureType, where: str) -> pl.Series:
    if not (values.dtype.is_integer() or values.dtype in (pl.String, pl.Categorical, pl.Null)):
        raise BeamfleetError(
            f"{where}: key {values.name} is {values.dtype}, expected text or integers"
        )
    return values.cast(POLARS_TYPES[kind], strict=False)


def _request(values: pl.Series, kind: FeatureType, what: str) -> pl.Series:
    if kind is datetime and values.dtype == pl.String:
        return as_time(values, what)
    return as_declared(values, kind, what)


def _check_there(needed: list[str], rows: pl.DataFrame, where: str) -> None:
    if missing := [name for name in dict.fromkeys(needed) if name not in rows.columns]:
        raise BeamfleetError(
            f"{where}: no column {', '.join(missing)}; it has {', '.join(rows.columns)}"
        )


def _labels(service: FeatureService) -> Source:
    if service.labels is None:
        raise BeamfleetError(
            f"service {service.name!r} has no labels=Source(...), whose rows it would take"
        )
    return service.labels


def _where(service: FeatureService) -> str:
    return f"service {service.name!r}, labels {_labels(service).name!r}"
