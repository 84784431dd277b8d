"""From raw rows of a stream to keyed events, and from change points to rows of the log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_stream.state import Event
from components.feature_stream.sweep import Change
from components.feature_values.keyed import POLARS_TYPES, TIME, as_time, keyed_events, value_columns
from components.features.source import Parquet, Source
from components.features.view import FeatureView

Key = tuple[Any, ...]
Row = dict[str, Any]
Types = Mapping[str, pl.DataType]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class KeyedRows:
    """What became of some rows: rows in = events + rejected + filtered."""

    events: list[tuple[Key, Event]]
    rejected: list[tuple[int, str]]
    """Place of the row among those given, and why."""
    filtered: int
    """Rows that the event_transform left out."""


def history_types(source: Source) -> dict[str, pl.DataType]:
    """The types that the history has on disk; a stream of JSON may show fewer columns at a time.

    None are known if the history is no Parquet, or not there yet.
    """
    if not isinstance(source.batch, Parquet):
        return {}
    path = Path(source.batch.path)
    try:
        return dict(pl.scan_parquet(path / "**" if path.is_dir() else path).collect_schema())
    except (OSError, pl.exceptions.PolarsError):
        return {}


def keyed_rows(
    view: FeatureView, source: Source, rows: Sequence[Row], types: Types, *, proven: bool = False
) -> KeyedRows:
    """Applies the view's event_transform; a row that it cannot take is rejected alone.

    Args:
      view: The view.
      source: One of its sources, which the rows are of.
      rows: JSON objects.
      types: See `history_types`.
      proven: Whether others could be taken before: then not the view is wrong but these rows,
        though it be all of them. A slow stream may come row by row.

    Raises:
      BeamfleetError: it can take none of the rows, and is not proven.
    """
    try:
        return _keyed(view, source, rows, types)
    except (BeamfleetError, pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        if len(rows) == 1:
            if proven:
                return KeyedRows([], [(0, _reason(view, source, error))], 0)
            raise BeamfleetError(_reason(view, source, error)) from error
    events: list[tuple[Key, Event]] = []
    rejected, filtered = [], 0
    for number, row in enumerate(rows):
        try:
            made = keyed_rows(view, source, [row], types)
        except BeamfleetError as error:
            rejected.append((number, str(error)))
            continue
        events += made.events
        rejected += [(number, reason) for _, reason in made.rejected]
        filtered += made.filtered
    if len(rejected) == len(rows) and not proven:
        raise BeamfleetError(f"none of {len(rows)} rows can be taken; the first: {rejected[0][1]}")
    return KeyedRows(events, rejected, filtered)


def changes_frame(view: FeatureView, changes: Iterable[tuple[Key, Change]]) -> pl.DataFrame:
    """Rows of the view's change log, in the order given.

    Raises:
      BeamfleetError: a value is not of the type that the schema says.
    """
    rows = list(changes)
    columns = [
        pl.Series(name, [key[place] for key, _ in rows], POLARS_TYPES[kind])
        for place, (name, kind) in enumerate(view.key_types.items())
    ]
    for name in ("valid_from", "created"):
        values = [getattr(change, name) for _, change in rows]
        columns.append(pl.Series(name, values, pl.Int64).cast(TIME))
    for place, (name, kind) in enumerate(view.schema.items()):
        values = [typed(view, name, change.features[place]) for _, change in rows]
        columns.append(pl.Series(name, values, POLARS_TYPES[kind]))
    return pl.DataFrame(columns)


def events_frame(view: FeatureView, events: Iterable[tuple[Key, Event]]) -> pl.DataFrame:
    """Keyed events as a frame, as `keyed_events` gives them."""
    rows = [event_row(view, key, event) for key, event in events]
    empty = {**dict.fromkeys(("event_time", "created"), TIME), "event_id": pl.String()}
    return pl.DataFrame(rows, schema_overrides=empty, infer_schema_length=None)


def event_row(view: FeatureView, key: Key, event: Event) -> Row:
    """A keyed event as a row."""
    times = {"event_time": utc(event.time), "created": utc(event.created), "event_id": event.id}
    values = dict(zip(value_columns(view), event.values, strict=True))
    return dict(zip(view.keys, key, strict=True)) | times | values


def typed(view: FeatureView, feature: str, value: Any) -> Any:
    """A value in the type of the schema, if that takes nothing off it.

    Raises:
      BeamfleetError: it would.
    """
    kind = view.schema[feature]
    if value is None or type(value) is kind:
        return value
    if kind is float and isinstance(value, int | float):
        return float(value)
    if kind is int and isinstance(value, int | float) and value == int(value):
        return int(value)
    raise BeamfleetError(
        f"view {view.name!r}, feature {feature!r} is {value!r}, expected {kind.__name__} as its "
        "schema says"
    )


def utc(time: int) -> datetime:
    """Microseconds since 1970 as a datetime."""
    return EPOCH + timedelta(microseconds=time)


def _keyed(view: FeatureView, source: Source, rows: Sequence[Row], types: Types) -> KeyedRows:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    if any(not isinstance(row.get(name) or "", str) for row in rows for name in texts):
        raise TypeError("numbers beside text")  # each row is looked at alone, in any block alike
    frame = _as_history(frame, types)
    keyed = keyed_events(view, source, frame)
    if keyed.rejects["row"].null_count():
        raise BeamfleetError(
            f"view {view.name!r}, source {source.name!r}: event_transform dropped the column of "
            "row numbers, so that a rejected row cannot be named; keep the columns that it is given"
        )
    rejected = [(int(row), str(reason)) for row, reason in keyed.rejects.rows()]
    return KeyedRows(events_of(view, keyed.events), rejected, keyed.filtered)


def events_of(view: FeatureView, keyed: pl.DataFrame) -> list[tuple[Key, Event]]:
    """The rows of a frame of keyed events, in order."""
    keys = keyed.select(view.keys).rows()
    times = (keyed[name].to_physical().to_list() for name in ("event_time", "created"))
    columns = value_columns(view)
    values = keyed.select(columns).rows() if columns else [()] * keyed.height
    events = map(Event, *times, keyed["event_id"].to_list(), values)
    return list(zip(keys, events, strict=True))


def _as_history(frame: pl.DataFrame, types: Types) -> pl.DataFrame:
    """Columns in the types of the history where these can be meant; what is missing is null."""
    columns = []
    for name, kind in types.items():
        if name not in frame.columns:
            columns.append(pl.lit(None, kind).alias(name))
        elif frame[name].dtype == pl.String and isinstance(kind, pl.Datetime):
            columns.append(pl.lit(as_time(frame[name], name)).alias(name))
        elif frame[name].dtype == pl.Null or (frame[name].dtype.is_integer() and kind.is_numeric()):
            columns.append(pl.col(name).cast(kind))
    return frame.with_columns(columns)


def _reason(view: FeatureView, source: Source, error: Exception) -> str:
    if isinstance(error, BeamfleetError):
        return str(error)
    return f"view {view.name!r}, source {source.name!r}: the row cannot be read: {error}"
