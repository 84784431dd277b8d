"""Feature services: what one model reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from components.errors import BeamfleetError
from components.features.durations import Duration, microseconds
from components.features.entity import key_types_of
from components.features.group import FeatureGroup
from components.features.names import FeatureType, checked_name, checked_schema
from components.features.on_demand import OnDemandView, selected
from components.features.source import Source
from components.features.transformation import Transformation
from components.features.view import FeatureView, Selection

Boundary = Literal["strict", "inclusive"]
"""What a label of time t may see: values before t, or up to and with t."""


@dataclass(frozen=True)
class FeatureService:
    """What one model reads: features of several views, columns of the request, and the label.

    Example:
        fraud = FeatureService(
            "fraud",
            features=[card_spend, payment_failures[["latest_payment_fail"]], since_checkout],
            labels=labels, label="is_fraud", request={"amount": float, "category": str},
            transformations={"mean_4h": StandardScaler()},
        )
    """

    name: str
    views: tuple[Selection, ...]
    on_demand: tuple[OnDemandView, ...]
    labels: Source | None
    """Rows with the keys of all entities, event_time, the label, and the columns of `request`."""
    label: str
    """Column of `labels`; empty if it has none."""
    request: dict[str, FeatureType] = field(hash=False)
    """Columns that come with the label in training, with the request in serving. A key that is
    named here is an input of the model too, such as to have a model for each of its values; it is
    sent and stored once."""
    transformations: dict[str, Transformation[Any]] = field(hash=False)
    """Feature or request column -> what is fitted on the training split and done in serving too."""
    boundary: Boundary
    offset_us: int
    """Features are those of so long before the label's time."""
    version: int
    owner: str
    description: str

    def __init__(
        self,
        name: str,
        features: Sequence[FeatureView | FeatureGroup | Selection | OnDemandView],
        *,
        labels: Source | None = None,
        label: str = "",
        request: Mapping[str, FeatureType] | None = None,
        transformations: Mapping[str, Transformation[Any]] | None = None,
        boundary: Boundary | None = None,
        offset: Duration = "0s",
        version: int = 1,
        owner: str = "",
        description: str = "",
    ) -> None:
        """Declares it.

        Args:
          boundary: Default: "strict" where a view reads the source of the labels (the label's own
            event would be in its features), else "inclusive".

        Others are as the fields say.

        Raises:
          BeamfleetError: something does not fit together.
        """
        views = tuple(selected(one) for one in features if not isinstance(one, OnDemandView))
        shared = labels is not None and any(
            source.batch == labels.batch for view in views for source in view.view.sources
        )
        values = {
            "name": checked_name(name, "feature service"),
            "views": views,
            "on_demand": tuple(one for one in features if isinstance(one, OnDemandView)),
            "labels": labels,
            "label": label,
            "request": dict(request or {}),
            "transformations": dict(transformations or {}),
            "boundary": boundary or ("strict" if shared else "inclusive"),
            "offset_us": microseconds(offset, f"offset of feature service {name!r}"),
            "version": version,
            "owner": owner or (labels.owner if labels else ""),
            "description": description,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        self._check()

    def _check(self) -> None:
        where = f"feature service {self.name!r}"
        if not self.views and not self.on_demand:
            raise BeamfleetError(f"{where}: expected features of one view at least")
        if self.boundary not in ("strict", "inclusive"):
            raise BeamfleetError(
                f'{where}: boundary is {self.boundary!r}, expected "strict" or "inclusive"'
            )
        if bool(self.label) and self.labels is None:
            raise BeamfleetError(f"{where}: label {self.label!r} needs labels=Source(...)")
        if self.version < 1:
            raise BeamfleetError(f"{where}: version is {self.version}, expected >= 1")
        if self.request:
            checked_schema(self.request, where)
        self._check_keys(where)
        columns = [*(self.key_types | self.request), *self.features, *filter(None, [self.label])]
        if twice := sorted({name for name in columns if columns.count(name) > 1}):
            raise BeamfleetError(
                f"{where}: {', '.join(twice)} is there twice among keys, request columns, features "
                "and label; take some features of a view only: view[['a', 'b']]"
            )
        if unknown := sorted(set(self.transformations) - {*self.request, *self.features}):
            raise BeamfleetError(f"{where}: transformations of {', '.join(unknown)}, no features")
        self._check_on_demand(where)

    def _check_keys(self, where: str) -> None:
        """Of those among the request columns."""
        for key, kind in self.key_types.items():
            asked = self.request.get(key, kind)
            if asked is not kind:
                raise BeamfleetError(
                    f"{where}: request={{{key!r}: {asked.__name__}}} is a key of type "
                    f"{kind.__name__}: write request={{{key!r}: {kind.__name__}}}"
                )
            if key in self.transformations:
                raise BeamfleetError(
                    f"{where}: {key} is a key, which cannot be transformed; leave it out of "
                    "transformations="
                )

    def _check_on_demand(self, where: str) -> None:
        for one in self.on_demand:
            if missing := sorted(set(one.request) - set(self.request)):
                raise BeamfleetError(
                    f"{where}: on-demand view {one.name!r} reads {', '.join(missing)} of the "
                    "request; add it to request="
                )
        columns = [*self.keys, *self.request, *(n for o in self.on_demand for n in o.schema)]
        taken = dict.fromkeys(filter(None, [*columns, self.label]), "the service")
        for chosen in self.needed:
            for name in chosen.features:
                other = taken.setdefault(name, chosen.view.name)
                if other != chosen.view.name:
                    raise BeamfleetError(
                        f"{where}: {name!r} of view {chosen.view.name!r}, which an on-demand view "
                        f"reads, is also a column of {other!r}; call one of them otherwise"
                    )

    @property
    def needed(self) -> tuple[Selection, ...]:
        """What has to be looked up: the service's own views, and the inputs of on-demand ones."""
        return tuple(dict.fromkeys([*self.views, *(s for o in self.on_demand for s in o.inputs)]))

    @property
    def looked_up(self) -> dict[FeatureView | FeatureGroup, tuple[str, ...]]:
        """Each view or group once -> all of its features that are needed."""
        found: dict[FeatureView | FeatureGroup, dict[str, None]] = {}
        for one in self.needed:
            found.setdefault(one.view, {}).update(dict.fromkeys(one.features))
        return {view: tuple(names) for view, names in found.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that name the entities of all views."""
        return tuple(self.key_types)

    @property
    def key_types(self) -> dict[str, FeatureType]:
        """Key column -> type."""
        return key_types_of(entity for one in self.needed for entity in one.view.entities)

    @property
    def schema(self) -> dict[str, FeatureType]:
        """Feature -> type: of the views, then of the on-demand ones."""
        stored = {name: one.view.schema[name] for one in self.views for name in one.features}
        return stored | {n: kind for one in self.on_demand for n, kind in one.schema.items()}

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all features, with those that are there twice."""
        stored = (name for one in self.views for name in one.features)
        return (*stored, *(name for one in self.on_demand for name in one.schema))
