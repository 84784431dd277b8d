"""Features that are computed when they are asked for, of others and of the request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.errors import BeamfleetError
from components.features.group import FeatureGroup
from components.features.names import FeatureType, checked_name, checked_schema
from components.features.view import FeatureView, Selection

OnDemandFunction = Callable[[Any], Any]
"""`function(inputs: pl.DataFrame) -> pl.DataFrame`: a row for each row, in order."""


@dataclass(frozen=True)
class OnDemandView:
    """Features of a row of others: the same function over a training set and over one request.

    Its inputs have the features of `inputs`, the columns of `request` and `request_time` (UTC): the
    time of the request in serving; in training the label's time less the service's offset.
    """

    name: str
    function: OnDemandFunction
    inputs: tuple[Selection, ...]
    schema: dict[str, FeatureType] = field(hash=False)
    request: dict[str, FeatureType] = field(default_factory=dict, hash=False)
    """Columns that come with the label or the request."""
    version: int = 1
    owner: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "on-demand view")
        checked_schema(self.schema, f"on-demand view {self.name!r}")
        if self.request:
            checked_schema(self.request, f"request of on-demand view {self.name!r}")
        if self.version < 1:
            raise BeamfleetError(
                f"on-demand view {self.name!r}: version is {self.version}, expected >= 1"
            )


def on_demand(
    *,
    inputs: Sequence[FeatureView | FeatureGroup | Selection],
    schema: dict[str, FeatureType],
    request: Mapping[str, FeatureType] | None = None,
    version: int = 1,
    owner: str = "",
    description: str = "",
) -> Callable[[OnDemandFunction], OnDemandView]:
    """Makes an on-demand view of a function over a frame.

    Example:
        @on_demand(inputs=[last_checkout], schema={"time_since_user_checkout": float})
        def since_checkout(inputs):
            passed = pl.col("request_time") - pl.col("checkout_at")
            return inputs.select(time_since_user_checkout=passed.dt.total_seconds().cast(float))
    """
    chosen = tuple(selected(one) for one in inputs)

    def made(function: OnDemandFunction) -> OnDemandView:
        return OnDemandView(
            name=function.__name__,
            function=function,
            inputs=chosen,
            schema=dict(schema),
            request=dict(request or {}),
            version=version,
            owner=owner or (chosen[0].view.owner if chosen else ""),
            description=description or (function.__doc__ or "").strip().split("\n")[0],
        )

    return made


def selected(features: FeatureView | FeatureGroup | Selection) -> Selection:
    """A view or a group stands for all of its features."""
    if isinstance(features, Selection):
        return features
    return Selection(features, features.features)
