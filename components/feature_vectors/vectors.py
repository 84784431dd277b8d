"""Feature vectors: look up, compute what is on demand, transform as in training."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_store import transformations
from components.feature_values.on_demand import REQUEST_TIME, with_on_demand
from components.feature_vectors.rows import checked_frame
from components.features.service import FeatureService
from components.online_store import OnlineStore
from components.online_store.points import Stored


@dataclass(frozen=True)
class Vectors:
    """The vectors of one request; a row for each of its rows, in order."""

    values: pl.DataFrame
    """Keys, request columns, and all features before any transformation: also those that only
    on-demand views read. What a log keeps."""
    valid_from: pl.DataFrame
    """View -> when its value began; null: there is none, or it is too old."""
    inputs: pl.DataFrame
    """Request columns, then the service's features, transformed: what the model was trained on."""


class FeatureVectors:
    """The vectors of one version of a service. Threads may share it.

    What a row of now is given is what `point_in_time_join` gives a label of that time: values
    before it for a strict boundary, up to it for an inclusive one; those of `offset` earlier; a
    value that is older than its view's ttl is null.
    """

    def __init__(
        self,
        service: FeatureService,
        online: OnlineStore,
        fitted: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes it.

        Args:
          service: Whose features.
          online: Holds the views of the service.
          fitted: What the service's transformations learnt from the training split; may be left
            out of a service without any.

        Raises:
          BeamfleetError: `fitted` is of other columns, the service reads two versions of a view, or
            one with online=False.
        """
        self.service = service
        self._online = online
        self._fitted = dict(fitted or {})
        self._views = _views(service)
        if offline := [view.name for view, _ in self._views if not view.online]:
            raise BeamfleetError(
                f"service {service.name!r} reads {', '.join(offline)}, declared with online=False: "
                "no online store is filled with it; declare it with online=True (which needs no "
                "new version) and materialize it, or ask for get_batch_data"
            )
        if set(self._fitted) != set(service.transformations):
            raise BeamfleetError(
                f"service {service.name!r} version {service.version} transforms "
                f"{_named(service.transformations)}, but what was fitted is for "
                f"{_named(self._fitted)}; give what a training split of this version has fitted"
            )

    def read(self, requests: pl.DataFrame, now: datetime) -> Vectors:
        """The vectors of rows of entity keys and request columns.

        Args:
          requests: See `rows.columns_of` for what they need; `frame_of_rows` makes them of JSON.
          now: When the request is made, UTC.

        Raises:
          RowError: a column is missing or of another type, or a key is null.
          BeamfleetError: the store cannot be read, or code of the service failed.
        """
        asked = checked_frame(self.service, requests)
        at = now - timedelta(microseconds=self.service.offset_us)
        found, valid_from = [], []
        for view, features in self._views:
            values = self._known(view, asked, at)
            found += [values[name] for name in features]
            valid_from.append(values["valid_from"].alias(view.name))
        known = asked.hstack(found)
        if self.service.on_demand:
            timed = known.with_columns(pl.lit(at).alias(REQUEST_TIME))
            known = with_on_demand(self.service, timed, REQUEST_TIME).drop(REQUEST_TIME)
        inputs = known.select(*self.service.request, *self.service.features)
        if self._fitted:
            inputs = transformations.apply(self.service, inputs, self._fitted)
        return Vectors(known, pl.DataFrame(valid_from), inputs)

    def check(self) -> None:
        """Asks the store about each view.

        Raises:
          BeamfleetError: it cannot be reached, or has a view with another schema.
        """
        now, nobody = datetime.now(UTC), pl.DataFrame(schema=dict.fromkeys(self.service.keys))
        for view, _ in self._views:
            self._online.read(view, nobody.cast(pl.Null).select(view.keys), now)

    def empty_views(self) -> list[str]:
        """The views of which the online store has no row at all.

        Raises:
          BeamfleetError: it cannot be reached.
        """
        return [view.name for view, _ in self._views if not self._online.has_rows(view)]

    def check_filled(self) -> None:
        """Raises BeamfleetError if the online store holds nothing at all of a view."""
        if empty := self.empty_views():
            raise BeamfleetError(
                f"the online store has no value of view {', '.join(map(repr, empty))}, which "
                f"service {self.service.name!r} reads: fill it, by store.backfill(view) and "
                "store.materialize(view), or by `beamfleet features stream`"
            )

    def _known(self, view: Stored, asked: pl.DataFrame, at: datetime) -> pl.DataFrame:
        """The view's values as of then."""
        strict = self.service.boundary == "strict"
        last = at - timedelta(microseconds=1) if strict else at
        values = self._online.read(view, asked.select(view.keys), last).drop(view.keys)
        if view.ttl_us is None or not strict:
            return values
        # The store counts the age up to `last`.
        fresh = pl.col("valid_from") >= at - timedelta(microseconds=view.ttl_us)
        return values.select(pl.when(fresh).then(pl.all()))


def _views(service: FeatureService) -> list[tuple[Stored, list[str]]]:
    """Each view once, with the features that are read of it."""
    found: dict[tuple[str, int], tuple[Stored, dict[str, None]]] = {}
    for one in service.needed:
        _, features = found.setdefault((one.view.name, one.view.version), (one.view, {}))
        features |= dict.fromkeys(one.features)
    names = [name for name, _ in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BeamfleetError(
            f"service {service.name!r} reads two versions of {', '.join(twice)}; take one of them"
        )
    return [(view, [*features]) for view, features in found.values()]


def _named(columns: Mapping[str, object]) -> str:
    return ", ".join(columns) or "nothing"
