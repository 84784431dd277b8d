"""Views of every type, and what a store has to answer."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from components.feature_values.keyed import POLARS_TYPES
from components.features import (
    Count,
    Entity,
    FeatureView,
    Last,
    Lifetime,
    Mean,
    Parquet,
    Source,
    UnifiedTransformer,
)

START = datetime(2024, 5, 1, tzinfo=UTC)
SCHEMA = {"mean": float, "count": int, "word": str, "fresh": bool, "at": datetime}
PAIR = Entity("pair", keys={"who": str, "shop": int})
CARD = Entity("card", keys=["card_id"])
_numbers = itertools.count()


def new_view(
    *entities: Entity, schema: dict[str, Any] = SCHEMA, ttl_us: int | None = None, name: str = ""
) -> FeatureView:
    """One that no database has seen, unless it is named."""
    first = [Mean(), Count(), Last("word"), Last("fresh"), Last("event_time")][: len(schema)]
    return FeatureView(
        name=name or f"view_{next(_numbers)}",
        entities=entities or (CARD,),
        sources=(Source("events", batch=Parquet("x"), event_time="ts"),),
        schema=schema,
        transformer=UnifiedTransformer(lambda events: events, Lifetime(), tuple(first)),
        ttl_us=ttl_us,
    )


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def rows_of(view: FeatureView, rows: Iterable[Sequence[Any]]) -> pl.DataFrame:
    """Rows of (keys..., valid_from, created, features...)."""
    kinds = {k: t for one in view.entities for k, t in zip(one.keys, one.types, strict=True)}
    kinds |= {"valid_from": datetime, "created": datetime} | view.schema
    schema = {name: POLARS_TYPES[kind] for name, kind in kinds.items()}
    return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")
