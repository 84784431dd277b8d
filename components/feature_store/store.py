"""The one object that a user of features holds."""

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from components.errors import BeamfleetError
from components.feature_backfill.backfill import BackfillReport, backfill
from components.feature_backfill.logs import read_log
from components.feature_groups import stored
from components.feature_groups.rows import as_polars
from components.feature_registry import Applied, Registry
from components.feature_store import training
from components.feature_store.expectations import check_expectations
from components.feature_store.parity import Parity, compared
from components.feature_store.split_files import read_fitted
from components.feature_store.splits import Split
from components.feature_store.training import TrainingSet
from components.feature_store.transformations import apply as transformed_by
from components.feature_vectors import FeatureVectors
from components.feature_vectors.rows import frame_of_rows
from components.features.definition import Declared
from components.features.group import FeatureGroup
from components.features.service import FeatureService
from components.features.view import FeatureView
from components.online_store import OnlineStore, Written, online_store_of, open_online_store
from components.times import in_utc


class FeatureStore:
    """Definitions, histories, online values and training sets, in one folder.

    Example:
        store = FeatureStore("features")
        store.apply(fraud)
        store.backfill()
        split = ByTime(validation=0.15, test=0.15, gap="1d")
        training = store.create_train_validation_test_split(fraud, split)
        store.materialize(card_spend)
        store.get_feature_vector(fraud, {"card_id": "c1"}, {"amount": 12.5}, split=training.number)
    """

    def __init__(self, root: str | Path, online: str | OnlineStore | None = None) -> None:
        """Opens the store; nothing is made before it is needed.

        Args:
          root: Its folder.
          online: Online store, or its URI (see `open_online_store`); default: that of
            BEAMFLEET_ONLINE_STORE in the environment, or else a SQLite file in the folder.
        """
        self.root = Path(root)
        self.registry = Registry(self.root / "registry.db")
        self._online = online
        self._views: dict[str, FeatureView] = {}
        self._filled: set[FeatureService] = set()
        self._fitted: dict[tuple[str, int, int], dict[str, Any]] = {}

    @cached_property
    def online(self) -> OnlineStore:
        """Where the newest values are."""
        if self._online is None:
            return online_store_of(self.root)
        return open_online_store(self._online) if isinstance(self._online, str) else self._online

    def apply(self, *things: Declared) -> list[Applied]:
        """Registers declarations and all that they read, or none of them.

        Raises:
          BeamfleetError: a definition has changed without a new version.
        """
        applied = self.registry.apply(things)
        for thing in things:
            self._views |= _views_of(thing)
        return applied

    def backfill(
        self,
        what: FeatureView | FeatureService | None = None,
        as_of: datetime | str | None = None,
    ) -> dict[str, BackfillReport]:
        """Computes the history of a view, of all views of a service, or of all that this object
        applied, by name.

        What a view expects is checked before anyone may read the new values.

        Args:
          as_of: Point in time, UTC unless it says otherwise; None: with all that there is.

        Raises:
          BeamfleetError: a source cannot be read, an expectation does not hold, or nothing was
            applied.
        """
        views = list(_views_of(what).values() if what else self._views.values())
        if not views:
            raise BeamfleetError(
                "nothing to backfill: this FeatureStore object was given no view. Declarations are "
                "code, which the registry only describes: store.backfill(view), or "
                "store.apply(service) before store.backfill()"
            )
        self.apply(*views)
        at = None if as_of is None else in_utc(as_of, "as_of")
        return {
            one.name: backfill(one, self.root, as_of=at, check=check_expectations) for one in views
        }

    def materialize(
        self, view: FeatureView | FeatureGroup, now: datetime | str | None = None
    ) -> Written:
        """Writes what holds from now on into the online store: the newest row of each key that is
        valid now, and the rows behind it, such as the end of its window.

        A value that is newer online stays.

        Raises:
          BeamfleetError: it has no history, or is declared with online=False.
        """
        if not view.online:
            raise BeamfleetError(
                f"{view.name!r} is declared with online=False: declare it with online=True, which "
                "needs no new version"
            )
        at = _now(now)
        if isinstance(view, FeatureGroup):
            log = stored.read_log(view, self.root)
        else:
            log = read_log(view, self.root)
        valid, order = pl.col("valid_from") <= at, ["valid_from", "created"]
        newest = log.filter(valid).group_by(view.keys).agg(pl.all().sort_by(order).last())
        rows = pl.concat([newest, log.filter(~valid)], how="diagonal")
        return self.online.write(view, rows.collect(), at)

    def check_parity(self, view: FeatureView, day: date | str) -> Parity:
        """Compares what the stream said of a day, UTC, with what the backfill says of it."""
        from components.feature_stream import read_stream_log

        at = in_utc(day, "day").date() if isinstance(day, str) else day
        return compared(view, at, read_stream_log(view, self.root), read_log(view, self.root))

    def create_train_validation_test_split(
        self,
        service: FeatureService,
        split: Split,
        *,
        as_known: bool = False,
        as_of: datetime | str | None = None,
        transformed: bool = True,
        fitted_once: bool = False,
    ) -> TrainingSet:
        """Makes a training set: labels with the features of their time, split, numbered, kept.

        Args:
          split: ByTime or ByHash.
          as_known: Features, and the labels of earlier splits, are what had arrived by then.
          as_of: Labels of later are left out; the histories have to be backfilled as of then too.
          transformed: Whether features come as the model reads them, or as they are.
          fitted_once: Whether the transformations are those that the oldest training set of this
            version of the service has fitted, so that models of all of them read the same.

        Raises:
          BeamfleetError: a label, feature or split is not as declared, or a view has no history.
        """
        self.apply(service)
        at = None if as_of is None else in_utc(as_of, "as_of")
        number = training.create(
            self.root, service, split, as_known=as_known, as_of=at, fitted_once=fitted_once
        )
        return training.read(self.root, service, number, transformed=transformed)

    def get_train_validation_test_split(
        self, service: FeatureService, version: int, *, transformed: bool = True
    ) -> TrainingSet:
        """The training set of this number, with the same rows in the same order as ever.

        Raises:
          BeamfleetError: there is none, or its files were changed.
        """
        return training.read(self.root, service, version, transformed=transformed)

    def get_batch_data(
        self,
        service: FeatureService,
        start: datetime | str,
        end: datetime | str,
        *,
        split: int | None = None,
        transformed: bool = True,
        as_known: bool = False,
    ) -> pl.DataFrame:
        """Rows of [start, end) to predict: of the service's labels, with or without a label; if it
        has none, a row for each change of its views.

        Args:
          split: Number of the training set whose transformations are done; needed if the service
            has any.
          transformed: Whether they are done.

        Raises:
          BeamfleetError: a row is not as declared, or the histories end before it.
        """
        service, fitted = self._model(service, split, transformed)
        rows = training.batch(
            self.root, service, in_utc(start, "start"), in_utc(end, "end"), as_known=as_known
        )
        return transformed_by(service, rows, fitted)

    def get_feature_vector(
        self,
        service: FeatureService,
        keys: Mapping[str, Any],
        request: Mapping[str, Any] | None = None,
        now: datetime | str | None = None,
        *,
        split: int | None = None,
        transformed: bool = True,
    ) -> dict[str, Any]:
        """What a model is given of one entity, now, from the online store.

        Args:
          keys: Key column -> value.
          request: Request column -> value.

        Others, and what is raised, are as in `get_feature_vectors`.
        """
        row = pl.DataFrame([{**keys, **(request or {})}])
        vectors = self.get_feature_vectors(service, row, now, split=split, transformed=transformed)
        return vectors.row(0, named=True)

    def get_feature_vectors(
        self,
        service: FeatureService,
        rows: Any,
        now: datetime | str | None = None,
        *,
        split: int | None = None,
        transformed: bool = True,
    ) -> pl.DataFrame:
        """What a model is given of entities, now, from the online store.

        Args:
          rows: Keys and request columns: a polars, pandas or Arrow frame, or a list of dicts.
          now: Time of the request, UTC unless it says otherwise; default: the clock's.
          split: As in `get_batch_data`.
          transformed: As in `get_batch_data`.

        Returns:
          A row for each row, in order: keys, request columns, features. Null where nothing is
          known, or the value is older than the view's ttl.

        Raises:
          BeamfleetError: a column is missing or of another type, a key is null, or a view is not in
            the online store.
        """
        service, fitted = self._model(service, split, transformed)
        vectors = FeatureVectors(service, self.online, fitted)
        if service not in self._filled:
            vectors.check_filled()
            self._filled.add(service)
        found = vectors.read(_asked(service, rows), _now(now))
        inputs = found.inputs.drop(service.keys, strict=False)
        return found.values.select(service.keys).hstack(inputs)

    def _model(
        self, service: FeatureService, split: int | None, transformed: bool
    ) -> tuple[FeatureService, dict[str, Any]]:
        """The service with what its transformations learnt, or without them."""
        if not service.transformations:
            return service, {}
        if not transformed:
            plain = copy(service)
            object.__setattr__(plain, "transformations", {})
            return plain, {}
        if split is None:
            raise BeamfleetError(
                f"service {service.name!r} transforms {', '.join(service.transformations)}: say as "
                "which training set has it, split=NUMBER, or ask for transformed=False"
            )
        of = (service.name, service.version, split)
        if of not in self._fitted:
            self._fitted[of] = read_fitted(self.root, service, split)
        return service, self._fitted[of]


def _views_of(thing: Declared) -> dict[str, FeatureView]:
    read = thing.looked_up if isinstance(thing, FeatureService) else [thing]
    return {view.name: view for view in read if isinstance(view, FeatureView)}


def _now(given: datetime | str | None) -> datetime:
    return datetime.now(UTC) if given is None else in_utc(given, "now")


def _asked(service: FeatureService, rows: Any) -> pl.DataFrame:
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        return frame_of_rows(service, rows)
    return as_polars(rows, f"service {service.name!r}")
