"""Keyed events of rows of JSON, as history and stream read them: a bad row is rejected alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from components.errors import BeamfleetError
from components.feature_values.by_kind import Part
from components.feature_values.by_row import FunctionFailedError
from components.feature_values.keyed import (
    Keyed,
    keyed_alone,
    keyed_events,
    transformed,
)
from components.feature_values.ordered import Ints
from components.features.source import Source
from components.features.view import FeatureView


def keyed_parts(
    view: FeatureView, source: Source, parts: Sequence[Part], *, proven: bool
) -> list[Keyed]:
    """Keys each part for itself; their places are those of the rows that were parted.

    Args:
      view: Whose events they become.
      source: One of its sources.
      parts: See `parts_of`.
      proven: Whether others could be taken before: then not the view is wrong but these rows,
        though it be all of them. A slow stream may come row by row.

    Raises:
      BeamfleetError: no row can be taken, or none has a column, and they are not proven; the
        event_transform made rows, or made of a row what depends on others.
    """
    made = [one for part in parts for one in _keyed(view, source, part)]
    some = any(one.events.height or one.filtered for one in made)
    if not proven and (not some or all(one.absent for one in made)):
        for part in parts:
            keyed_events(view, source, part.rows)
    return made


def _keyed(view: FeatureView, source: Source, part: Part) -> Iterator[Keyed]:
    try:
        yield _placed(keyed_alone(view, source, part.rows), part.places)
        return
    except FunctionFailedError as error:
        reason = _of_its_types(view, source, part.rows)
        if reason or part.rows.height == 1:
            yield _refused(view, part, reason or str(error))
            return
    half = part.rows.height // 2
    yield from _keyed(view, source, Part(part.rows.head(half), part.places[:half]))
    yield from _keyed(view, source, Part(part.rows.slice(half), part.places[half:]))


def _of_its_types(view: FeatureView, source: Source, rows: pl.DataFrame) -> str:
    """Why the event_transform cannot take any row of these types; empty: it can."""
    try:
        transformed(view, source, rows.clear())
    except FunctionFailedError as error:
        return str(error)
    except BeamfleetError:
        pass
    return ""


def _placed(made: Keyed, places: Ints) -> Keyed:
    if made.places.null_count() or made.rejects["row"].null_count():
        return made
    of = pl.Series(places, dtype=pl.Int64)
    rows = of.gather(made.rejects["row"]).alias("row")
    return replace(made, rejects=made.rejects.with_columns(rows), places=of.gather(made.places))


def _refused(view: FeatureView, part: Part, reason: str) -> Keyed:
    rejects = pl.DataFrame({"row": part.places}).select(
        pl.col("row").cast(pl.Int64), pl.lit(reason).alias("reason")
    )
    none = pl.Series(np.zeros(0), dtype=pl.Int64)
    return Keyed(pl.DataFrame(), rejects, 0, none)
