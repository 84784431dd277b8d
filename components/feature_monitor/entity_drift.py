"""Drift of the features and predictions of each entity."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import polars as pl

from components.feature_monitor.config import WatchConfig
from components.feature_monitor.drift import Drift, measured
from components.features.service import FeatureService
from components.served_log.columns import FEATURE, REQUEST


def drifts(
    served: pl.DataFrame,
    reference: pl.DataFrame | None,
    service: FeatureService,
    config: WatchConfig,
    entities: Sequence[str],
    until: datetime | None,
) -> dict[str, tuple[Drift, ...]]:
    """Entity -> its columns, largest distance first; entities with too few rows are left out."""
    if reference is None:
        return {}
    names = {f"{FEATURE}{name}": name for name in service.features}
    names |= {f"{REQUEST}{name}": name for name in service.request}
    names |= {"prediction": "prediction", "score": "score"}
    columns = {
        live: plain
        for live, plain in names.items()
        if plain in reference.columns and live in served.columns
    }
    measures = {
        entity: found
        for entity in entities
        if (found := _of_entity(entity, served, reference, columns, config.min_rows, until))
    }
    tests = sum(map(len, measures.values()))
    alpha = (1 - config.confidence) / max(tests, 1)
    return {
        entity: tuple(sorted((_flagged(one, config, alpha) for one in found), key=_size))
        for entity, found in measures.items()
    }


def _of_entity(
    entity: str,
    served: pl.DataFrame,
    reference: pl.DataFrame,
    columns: Mapping[str, str],
    least: int,
    until: datetime | None,
) -> list[Drift]:
    mine = served.filter(pl.col("entity") == entity).sort("time")
    new = mine if until is None else mine.filter(pl.col("time") >= until)
    if not new.height:
        return []
    rows = new if new.height >= least else mine.tail(least)
    before = reference.filter(pl.col("entity") == entity)
    if rows.height < least or before.height < least:
        return []
    found = []
    for live, plain in columns.items():
        if before[plain].null_count() < before.height or rows[live].null_count() < rows.height:
            found.append(measured(plain, before[plain], rows[live]))
    return found


def _flagged(one: Drift, config: WatchConfig, alpha: float) -> Drift:
    drifted = one.distance > config.max_drift and one.p_value < alpha
    return replace(one, drifted=drifted)


def _size(one: Drift) -> tuple[bool, float]:
    return not one.drifted, -one.distance
