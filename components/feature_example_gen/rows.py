"""Labels as they were known at a point in time, with the features of the time of each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_computer.declared import files_of
from components.feature_join.point_in_time import point_in_time_join
from components.feature_values.keyed import POLARS_TYPES, as_time
from components.feature_values.on_demand import as_declared, with_on_demand
from components.features.service import FeatureService
from components.features.source import Parquet, Source
from components.features.view import FeatureView

LABEL_TIME = "label_time"
_CREATED, _ID, _FILE, _LINE, _REASON = "__created__", "__id__", "__file__", "__line__", "__reason__"
Log = Callable[[FeatureView], pl.LazyFrame]


@dataclass(frozen=True)
class Labels:
    """Labels of which something can be learnt, and what became of the others."""

    rows: pl.DataFrame
    """Keys, LABEL_TIME, columns of the request, the label."""
    rejects: pl.DataFrame
    """file, line (from 1), reason, text."""
    rows_in: int
    """All that were known: height of rows and rejects and `repeated`."""
    repeated: int
    """Rows of the same id and time as an earlier one."""
    unknown: int
    """Not in `rows_in`: what happened, or was judged, after the point in time."""


def read_labels(service: FeatureService, as_of: datetime) -> Labels:
    """Reads the labels that were known at `as_of`.

    Raises:
      BeamfleetError: a file cannot be read, or a column is missing or of another type.
    """
    source = service.labels
    assert source is not None
    rows = _typed(service, source, _read(source))
    known = (pl.col(LABEL_TIME) < as_of) & (pl.col(_CREATED) <= as_of)
    # What has no time is no label of a later time either: it is rejected, not unknown.
    late = rows.filter(~known.fill_null(True))
    rows = rows.filter(known.fill_null(True))
    bad = rows.filter(pl.col(_REASON).is_not_null())
    good = rows.filter(pl.col(_REASON).is_null()).sort(LABEL_TIME, _CREATED, maintain_order=True)
    once = good
    if source.id:
        once = good.unique([LABEL_TIME, _ID, *service.keys], keep="first", maintain_order=True)
    kept = once.select(*service.keys, LABEL_TIME, *service.request, service.label)
    return Labels(kept, _rejects(bad), rows.height, good.height - once.height, late.height)


def with_features(service: FeatureService, labels: pl.DataFrame, log: Log) -> pl.DataFrame:
    """Adds the features of the time of each label; rows as they are.

    Args:
      labels: As `read_labels` gives them.
      log: The change log of a view.
    """
    frame = labels
    for chosen in service.needed:
        frame = point_in_time_join(
            frame,
            log(chosen.view),
            keys=chosen.view.keys,
            label_time=LABEL_TIME,
            features=[name for name in chosen.features if name not in frame.columns],
            ttl_us=chosen.view.ttl_us,
            boundary=service.boundary,
            offset_us=service.offset_us,
        )
    offset = pl.duration(microseconds=service.offset_us)
    asked = frame.with_columns(__asked__=pl.col(LABEL_TIME) - offset)
    return with_on_demand(service, asked, "__asked__").drop("__asked__")


def _read(source: Source) -> pl.DataFrame:
    """All rows, with the file and the line of each."""
    parts = []
    for file in files_of(source):
        try:
            is_parquet = isinstance(source.batch, Parquet)
            rows = pl.read_parquet(file) if is_parquet else _json_lines(Path(file))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BeamfleetError(
                f"source {source.name!r}: {file} cannot be read: {error}"
            ) from error
        numbers = pl.int_range(1, pl.len() + 1)
        parts.append(rows.with_columns(pl.lit(file).alias(_FILE), numbers.alias(_LINE)))
    return pl.concat(parts, how="diagonal_relaxed")


def _json_lines(file: Path) -> pl.DataFrame:
    """A row a line; what is no object has nulls only."""
    rows: list[dict[str, Any]] = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        rows.append(row if isinstance(row, dict) else {})
    return pl.DataFrame(rows, infer_schema_length=None)


def _typed(service: FeatureService, source: Source, rows: pl.DataFrame) -> pl.DataFrame:
    where = f"source {source.name!r}"
    wanted = [*service.keys, source.event_time, *service.request, service.label]
    wanted += filter(None, (source.created, source.id))
    if missing := [name for name in dict.fromkeys(wanted) if name not in rows.columns]:
        raise BeamfleetError(
            f"{where}: no column {', '.join(missing)}, which {service.name!r} reads; it has "
            f"{', '.join(name for name in rows.columns if not name.startswith('__'))}"
        )
    time = as_time(rows[source.event_time], f"{where}: {source.event_time}")
    created = (
        as_time(rows[source.created], f"{where}: {source.created}") if source.created else time
    )
    keys = _key_types(service)
    columns = [rows[name].cast(keys[name], strict=False).alias(name) for name in service.keys]
    columns += [
        as_declared(rows[name], kind, f"{where}: {name}").alias(name)
        for name, kind in service.request.items()
    ]
    columns += [rows[service.label], time.alias(LABEL_TIME), created.alias(_CREATED)]
    columns += [rows[source.id].cast(pl.String).alias(_ID)] if source.id else []
    frame = pl.DataFrame(columns).with_columns(rows[_FILE], rows[_LINE])
    said = {**{name: name for name in service.keys}, LABEL_TIME: source.event_time}
    said |= {_CREATED: source.created or source.event_time, service.label: service.label}
    reason = pl.coalesce(
        pl.when(pl.col(name).is_null()).then(pl.lit(f"{word} is missing or cannot be read"))
        for name, word in said.items()
    )
    return frame.with_columns(reason.alias(_REASON))


def _key_types(service: FeatureService) -> dict[str, pl.DataType]:
    entities = (entity for chosen in service.needed for entity in chosen.view.entities)
    return {
        key: POLARS_TYPES[kind]
        for entity in entities
        for key, kind in zip(entity.keys, entity.types, strict=True)
    }


def _rejects(bad: pl.DataFrame) -> pl.DataFrame:
    text = pl.struct(pl.exclude(_FILE, _LINE, _REASON)).struct.json_encode()
    return bad.select(
        file=pl.col(_FILE), line=pl.col(_LINE).cast(pl.Int64), reason=pl.col(_REASON), text=text
    )
