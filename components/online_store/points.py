"""Rows of change logs as the databases keep them, and back.

A point is (entity, valid_from, created, value). The entity is its keys, each as `<bytes>:<text>`,
so that ("a", "b:c") and ("a:b", "c") stay two. The value is a JSON list: valid_from, then the
features; a float is the integer of its 64 bits, which keeps NaN, infinities and every digit.
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import orjson
import polars as pl

from components.errors import BeamfleetError
from components.feature_values.keyed import POLARS_TYPES, TIME
from components.features import FeatureGroup, FeatureView

Stored: TypeAlias = FeatureView | FeatureGroup
"""What has a change log: of a group, its rows."""
Point: TypeAlias = tuple[bytes, int, int, bytes]
"""entity, valid_from and created in microseconds since 1970, value."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("valid_from", "created")


def encoded_points(view: Stored, rows: pl.DataFrame, now: int) -> list[Point]:
    """The rows that may matter, sorted by (entity, valid_from), each of these pairs once.

    Raises:
      BeamfleetError: see OnlineStore.write.
    """
    _check_columns(view, rows, [*view.keys, *_TIMES, *view.features])
    for name in (*view.keys, *_TIMES):
        if missing := rows[name].is_null().arg_true().head(1).to_list():
            raise BeamfleetError(
                f"{_where(view)}: row {missing[0]} of the rows to write has no {name}"
            )
    kinds = {name: POLARS_TYPES[kind] for name, kind in view.schema.items()}
    frame = rows.select(
        _entity(view, rows).alias("__entity__"),
        *(pl.col(name).cast(TIME).to_physical() for name in _TIMES),
        *(_exact(pl.col(name).cast(kind), kind) for name, kind in kinds.items()),
    )
    newest = frame.sort("__entity__", *_TIMES, maintain_order=True).unique(
        subset=["__entity__", "valid_from"], keep="last", maintain_order=True
    )
    holds = pl.col("valid_from").filter(pl.col("valid_from") <= now).max().over("__entity__")
    kept = newest.filter(holds.is_null() | (pl.col("valid_from") >= holds))
    values = map(orjson.dumps, kept.select("valid_from", *view.features).iter_rows())
    return [*zip(kept["__entity__"], kept["valid_from"], kept["created"], values, strict=True)]


def encoded_entities(view: Stored, keys: pl.DataFrame) -> list[bytes | None]:
    """The entity of each row; None where a key is null.

    Raises:
      BeamfleetError: a key is not there, or neither text nor integers as the view's are.
    """
    _check_columns(view, keys, view.keys)
    return keys.select(_entity(view, keys)).to_series().to_list()


def decoded(view: Stored, values: Sequence[bytes | None], now: int) -> pl.DataFrame:
    """valid_from and features of values; null where there is none or its ttl is over."""
    lists = orjson.loads(b"[" + b",".join(v or b"null" for v in values) + b"]")
    nothing = [None] * (1 + len(view.schema))
    kinds = {name: POLARS_TYPES[kind] for name, kind in view.schema.items()}
    stored = {n: pl.Boolean() if k == pl.Boolean else _STORED.get(k, k) for n, k in kinds.items()}
    frame = pl.DataFrame(
        [row if _holds(view, row, now) else nothing for row in lists],
        schema={"valid_from": pl.Int64(), **stored},
        orient="row",
    )
    return frame.select(
        pl.col("valid_from").cast(TIME),
        *(_restored(pl.col(name), kind) for name, kind in kinds.items()),
    )


def chunks(points: Sequence[Point], most: int) -> Iterator[Sequence[Point]]:
    """Parts of at most so many points, or all of one entity; no entity is in two of them."""
    part: list[Point] = []
    for _, of_entity in itertools.groupby(points, key=lambda point: point[0]):
        more = [*of_entity]
        if part and len(part) + len(more) > most:
            yield part
            part = []
        part += more
    if part:
        yield part


def schema_text(view: Stored) -> str:
    """The columns of a view as one text: what a reader has to know to read the points."""
    columns = {name: kind.__name__ for name, kind in {**view.key_types, **view.schema}.items()}
    return orjson.dumps([*columns.items()]).decode()


def microseconds_since_1970(time: datetime) -> int:
    """Whole microseconds.

    Raises:
      BeamfleetError: the time has no zone.
    """
    if time.tzinfo is None:
        raise BeamfleetError(f"{time} has no time zone; give one such as datetime.now(UTC)")
    return (time - _EPOCH) // timedelta(microseconds=1)


_STORED: dict[pl.DataType, pl.DataType] = {pl.Float64(): pl.Int64(), TIME: pl.Int64()}


def _holds(view: Stored, row: list[object] | None, now: int) -> bool:
    if row is None:
        return False
    begins = row[0]
    assert isinstance(begins, int)
    return begins <= now and (view.ttl_us is None or now - begins <= view.ttl_us)


def _exact(values: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """A feature as JSON keeps it without loss."""
    if kind == pl.Float64:
        return values.reinterpret(dtype=pl.Int64)
    return values.to_physical() if kind == TIME else values


def _restored(values: pl.Expr, kind: pl.DataType) -> pl.Expr:
    return values.reinterpret(dtype=pl.Float64) if kind == pl.Float64 else values.cast(kind)


def _entity(view: Stored, frame: pl.DataFrame) -> pl.Expr:
    """Its keys as bytes, null where one is."""
    parts = []
    for name, kind in view.key_types.items():
        given = frame.schema[name]
        fits = given.is_integer() if kind is int else given in (pl.String, pl.Categorical)
        if not fits and given != pl.Null:
            raise BeamfleetError(
                f"{_where(view)}: key {name} is {given}, expected {POLARS_TYPES[kind]}"
            )
        text = pl.col(name).cast(pl.String)
        parts += [text.str.len_bytes().cast(pl.String), pl.lit(":"), text]
    return pl.concat_str(parts).cast(pl.Binary)


def _check_columns(view: Stored, frame: pl.DataFrame, wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in frame.columns]:
        raise BeamfleetError(
            f"{_where(view)}: no column {', '.join(missing)}; there are {', '.join(frame.columns)}"
        )
    kinds = {name: POLARS_TYPES[kind] for name, kind in view.schema.items()}
    kinds |= dict.fromkeys(_TIMES, TIME)
    for name in wanted:
        given, kind = frame.schema[name], kinds.get(name)
        if kind is None or given in (kind, pl.Null) or (kind.is_numeric() and given.is_integer()):
            continue
        if kind == TIME and isinstance(given, pl.Datetime) and given.time_zone:
            continue
        raise BeamfleetError(f"{_where(view)}: column {name} is {given}, expected {kind}")


def _where(view: Stored) -> str:
    return f"view {view.name!r} version {view.version}, online store"
