"""The rows that a service's features are looked up in."""

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_backfill.generation import current, manifest_of
from components.feature_backfill.logs import known_log, read_log
from components.feature_groups import stored
from components.features.definition import fingerprint
from components.features.group import FeatureGroup
from components.features.service import FeatureService
from components.features.view import FeatureView


class Logs:
    """The histories of a service's views and groups, all of one state.

    `described`: What they are, as JSON values.
    `as_of`: Their point in time; None: they hold all that there is.
    """

    def __init__(
        self, root: Path, service: FeatureService, *, as_known: bool, as_of: datetime | None
    ) -> None:
        """Finds them.

        Raises:
          BeamfleetError: a view has no history, or one of another definition or point in time.
        """
        self._root, self._as_known, self._service = root, as_known, service
        self._views = list(service.looked_up)
        self.described = self._described()
        times = [one["as_of"] for one in self.described.values() if one.get("as_of")]
        ends = [datetime.fromisoformat(time) for time in times]
        self.as_of = min([*ends, *([as_of] if as_of else [])], default=None)
        for name, one in self.described.items():
            then = datetime.fromisoformat(one["as_of"]) if one.get("as_of") else None
            if as_of and "generation" in one and then != as_of:
                raise BeamfleetError(
                    f"view {name!r} was backfilled as of {one['as_of'] or 'all that there is'}, "
                    f"asked for {as_of.isoformat()}; backfill it as of that time first"
                )

    def of(
        self, view: FeatureView | FeatureGroup, keys: pl.DataFrame | None = None
    ) -> pl.DataFrame | pl.LazyFrame:
        """The change log of a view, the rows of a group; of these keys at least, None: of all."""
        if isinstance(view, FeatureGroup):
            return stored.read_log(view, self._root, self.as_of)
        return known_log(view, self._root, keys) if self._as_known else read_log(view, self._root)

    def changed(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Keys and event_time of each change of [start, end) of the views with all keys.

        Raises:
          BeamfleetError: no view has all keys, or the service has request columns.
        """
        service = self._service
        views = [view for view in self._views if set(view.keys) == set(service.keys)]
        if not views or set(service.request) - set(service.keys):
            raise BeamfleetError(
                f"service {service.name!r} needs labels=Source(...) to say which rows there are: "
                + ("no view has all of its keys" if not views else "it has request columns")
            )
        inside = pl.col("valid_from").is_between(start, end, closed="left")
        parts = [
            self.of(view).lazy().filter(inside).select(*service.keys, "valid_from")
            for view in views
        ]
        rows = pl.concat(parts).rename({"valid_from": "event_time"}).unique()
        return rows.sort("event_time", *service.keys).collect()

    def check_unchanged(self) -> None:
        """Raises BeamfleetError if a view got another history since."""
        if self._described() != self.described:
            raise BeamfleetError(
                f"service {self._service.name!r}: a view was backfilled meanwhile; run again"
            )

    def _described(self) -> dict[str, dict[str, Any]]:
        return {view.name: self._one(view) for view in self._views}

    def _one(self, view: FeatureView | FeatureGroup) -> dict[str, Any]:
        told = {"version": view.version, "definition": fingerprint(view)}
        if isinstance(view, FeatureGroup):
            parts = list(stored.StoredGroup(view, self._root).folder.glob("part-*.parquet"))
            if not parts:
                raise BeamfleetError(
                    f"feature group {view.name!r} version {view.version} has no rows in "
                    f"{self._root}; insert some first: StoredGroup(group, root).insert(frame)"
                )
            return told | {"inserts": len(parts)}
        generation = current(view, self._root)
        manifest = manifest_of(generation)
        if manifest["definition"] != told["definition"]:
            raise BeamfleetError(
                f"view {view.name!r} version {view.version}: its history is of another definition; "
                "backfill it again"
            )
        return told | {"generation": generation.name, "as_of": manifest["as_of"]}
