"""What the backfill says should have been served."""

from dataclasses import dataclass

import polars as pl

from components.feature_join.point_in_time import point_in_time_join
from components.feature_monitor.values import AT
from components.feature_store.rows import Log
from components.features.group import FeatureGroup
from components.features.service import Boundary, FeatureService
from components.features.view import FeatureView

# No name of a key or feature has a dot.
FROM, EXPIRED = "offline.from", "offline.expired"


@dataclass(frozen=True)
class Offline:
    """The features of one view, by the rules by which the service serves them."""

    service: FeatureService
    view: FeatureView | FeatureGroup
    features: tuple[str, ...]
    log: Log
    """The change log of a view, the rows of a group."""
    known_log: Log
    """The change log of what was known; of a group again its rows."""

    def final(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The features as all events say now, FROM when they held, and whether they had EXPIRED.

        Args:
          rows: Keys, and the time of the look-up AT.
        """
        service = self.service
        return self._joined(rows, self.log, service.boundary, service.offset_us)

    def known(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The features as they could be known at the time of the look-up."""
        as_known = isinstance(self.view, FeatureGroup)
        service, log = self.service, self.known_log
        return self._joined(rows, log, service.boundary, service.offset_us, as_known)

    def valid_from(self, rows: pl.DataFrame, times: pl.Series) -> pl.DataFrame:
        """The features of the change log at these times."""
        return self._joined(rows.with_columns(times.alias(AT)), self.log, "inclusive", 0)

    def _joined(
        self, rows: pl.DataFrame, log: Log, boundary: Boundary, offset_us: int, known: bool = False
    ) -> pl.DataFrame:
        view = self.view
        given = log(view, rows.select(view.keys).unique()).lazy()
        joined = point_in_time_join(
            rows,
            given.with_columns(pl.col("valid_from").alias(FROM)),
            keys=view.keys,
            label_time=AT,
            features=[*self.features, FROM],
            ttl_us=None,
            boundary=boundary,
            offset_us=offset_us,
            as_known=known,
        )
        if view.ttl_us is None:
            return joined.with_columns(pl.lit(False).alias(EXPIRED))
        age = pl.col(AT) - pl.duration(microseconds=offset_us) - pl.col(FROM)
        expired = (age > pl.duration(microseconds=view.ttl_us)).fill_null(False)
        gone = joined.with_columns(expired.alias(EXPIRED))
        return gone.with_columns(
            pl.when(EXPIRED).then(None).otherwise(pl.col(name)).alias(name)
            for name in self.features
        )
