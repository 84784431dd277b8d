"""Events as every road reads them: the same columns for stream, backfill and join.

A frame of keyed events has the view's keys, `event_time`, `created` (both datetime[us, UTC]),
`event_id` (text or null) and the columns that the view's aggregators read; of several sources, the
columns that one does not have are null in its events.
"""

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from components.errors import BeamfleetError
from components.features.source import Source
from components.features.view import FeatureView

TIME = pl.Datetime("us", "UTC")
POLARS_TYPES: dict[type, pl.DataType] = {
    float: pl.Float64(), int: pl.Int64(), str: pl.String(), bool: pl.Boolean(), datetime: TIME,
}  # fmt: skip


@dataclass(frozen=True)
class Keyed:
    """Events of one batch, counted: rows_in = rows left + filtered + the height of rejects."""

    events: pl.DataFrame
    rejects: pl.DataFrame
    """`row` (of the batch, from 0) and `reason`."""
    filtered: int
    """Events that the event_transform left out."""


def keyed_events(view: FeatureView, source: Source, rows: pl.DataFrame) -> Keyed:
    """Applies the view's event_transform for a source to rows of it, and checks what comes out.

    Args:
      view: Whose events they become.
      source: One of the view's sources.
      rows: As the source has them.

    Raises:
      BeamfleetError: a column is not there, a column has a type that cannot be meant, or the
        event_transform made rows.
    """
    raise NotImplementedError
