"""Features of several groups, as of the times of labels: one feature pipeline for many models."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_groups.rows import as_polars
from components.feature_groups.stored import StoredGroup, read_log
from components.feature_join.point_in_time import point_in_time_join
from components.features.durations import Duration, microseconds
from components.features.group import FeatureGroup
from components.features.service import Boundary
from components.features.view import Selection


@dataclass(frozen=True)
class Query:
    """What is read of which groups; `FeatureService(features=query.selections)` reads the same."""

    root: Path
    selections: tuple[Selection, ...]

    def __post_init__(self) -> None:
        names = [name for one in self.selections for name in one.features]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            groups = ", ".join(one.view.name for one in self.selections)
            raise BeamfleetError(
                f"query of {groups}: {', '.join(twice)} is selected twice; select it of one group"
            )

    def join(self, other: "Query") -> "Query":
        """The features of both.

        Raises:
          BeamfleetError: a feature would be there twice, or the stores differ.
        """
        if other.root != self.root:
            raise BeamfleetError(
                f"cannot join groups of {self.root} with groups of {other.root}: two stores"
            )
        return Query(self.root, (*self.selections, *other.selections))

    def of(
        self,
        labels: Any,
        *,
        label_time: str,
        boundary: Boundary = "inclusive",
        offset: Duration = "0s",
        as_known: bool = False,
    ) -> pl.DataFrame:
        """The labels in their order, with the features of each as of its time.

        Args:
          labels: A polars, pandas or Arrow frame with the keys of all groups.

        Others are as in Rules of the join.

        Raises:
          BeamfleetError: labels and groups do not fit together.
        """
        return self._joined(
            as_polars(labels, "labels"), self.selections, label_time=label_time, boundary=boundary,
            offset_us=microseconds(offset, "offset of the join"), as_known=as_known,
        )  # fmt: skip

    def read(self, as_of: datetime | None = None) -> pl.DataFrame:
        """The rows of the first group, with the features of the others as of its event time.

        Args:
          as_of: See StoredGroup.read.

        Raises:
          BeamfleetError: the first group lacks a key of another.
        """
        first, *others = self.selections
        group = _group(first)
        rows = StoredGroup(group, self.root).read(as_of)
        asked = {*group.keys, group.event_time, *first.features}
        asked |= {key for one in others for key in one.view.keys}
        made = self._joined(
            rows.select(name for name in rows.columns if name in asked),
            others, label_time=group.event_time, boundary="inclusive", as_of=as_of,
        )  # fmt: skip
        features = [name for one in self.selections for name in one.features]
        return made.select(*group.keys, group.event_time, *features)

    def _joined(
        self,
        made: pl.DataFrame,
        selections: Any,
        *,
        as_of: datetime | None = None,
        **rules: Any,
    ) -> pl.DataFrame:
        for one in selections:
            log = read_log(_group(one), self.root, as_of)
            view = one.view
            made = point_in_time_join(
                made, log, keys=view.keys, features=one.features, ttl_us=view.ttl_us, **rules
            )
        return made


def _group(selection: Selection) -> FeatureGroup:
    assert isinstance(selection.view, FeatureGroup)
    return selection.view
