"""A declaration's fingerprint changes when its values may change, and only then."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.features import (
    Aggregator,
    Count,
    Entity,
    FeatureService,
    FeatureView,
    Fresh,
    JsonLines,
    Last,
    Lifetime,
    Mean,
    OnDemandView,
    Parquet,
    Rolling,
    Session,
    Source,
    Tumbling,
    UnifiedTransformer,
)
from components.features.definition import definition, fingerprint
from tests.components.feature_registry.declared import said

Change = dict[str, Any]


def amount(events: Any) -> Any:
    return events.with_columns(value=pl.col("amount"))


def other_amount(events: Any) -> Any:
    return events.with_columns(value=pl.col("amount") * 2)


def renamed_amount(events: Any) -> Any:
    """The same as `amount`."""
    return events.with_columns(value=pl.col("amount"))


@dataclass(frozen=True)
class Quantile(Aggregator[tuple[float, ...]]):
    q: float = 0.5

    def zero(self) -> tuple[float, ...]:
        return ()

    def add(self, state: tuple[float, ...], value: Any) -> tuple[float, ...]:
        return (*state, value)

    def merge(self, earlier: tuple[float, ...], later: tuple[float, ...]) -> tuple[float, ...]:
        return earlier + later

    def extract(self, state: tuple[float, ...]) -> Any:
        return sorted(state)[int(len(state) * self.q)] if state else None


@dataclass(frozen=True)
class OtherExtract(Quantile):
    def extract(self, state: tuple[float, ...]) -> Any:
        return max(state, default=None)


CARD = Entity("card", keys=["card_id"])
TXNS = Source("txns", batch=Parquet("a"), event_time="ts", created="seen", id="txn", owner="risk")
BY = UnifiedTransformer(amount, Rolling("4h", lateness="30m"), (Mean(), Quantile()))
VIEW = FeatureView("spend", (CARD,), (TXNS,), {"mean": float, "median": float}, BY, ttl_us=5)
SELECTED = VIEW[["mean"]]
ON_DEMAND = OnDemandView("ratio", amount, (SELECTED,), {"r": float}, {"amount": float})
SERVICE = {"labels": TXNS, "label": "y", "request": {"amount": float}, "owner": "risk"}


def by(**change: Any) -> Change:
    return {"transformer": replace(BY, **change)}


VIEW_DIFFERS: list[Change] = [
    {"name": "other"},
    {"entities": (Entity("card", keys=["card"]),)},
    {"entities": (Entity("card", keys={"card_id": int}),)},
    {"sources": (replace(TXNS, event_time="at"),)},
    {"sources": (replace(TXNS, created=None),)},
    {"sources": (replace(TXNS, id=None),)},
    {"schema": {"mean": float, "median": int}},
    {"schema": {"median": float, "mean": float}},
    {"ttl_us": None},
    {"ttl_us": 6},
    {"timestamp_field": "ts"},
    by(event_transform=other_amount),
    by(aggregator=(Mean("amount"), Quantile())),
    by(aggregator=(Count(), Quantile())),
    by(aggregator=(Mean(), Quantile(0.9))),
    by(aggregator=(Mean(), OtherExtract())),
    by(aggregator=(Quantile(), Mean())),
    *(by(window=one) for one in (Rolling("5h", lateness="30m"), Rolling("4h"), Tumbling("4h"))),
    *(by(window=one) for one in (Session("4h"), Lifetime())),
]
VIEW_IS_THE_SAME: list[Change] = [
    {"owner": "else"},
    {"description": "Else."},
    {"expectations": (Fresh("1d"),)},
    {"online": True},
    {"version": 2},
    {"sources": (replace(TXNS, batch=JsonLines("b"), stream=JsonLines("c"), owner="x"),)},
    {"entities": (Entity("card", keys={"card_id": str}, description="Plastic."),)},
    by(event_transform=renamed_amount),
    by(window=Rolling(timedelta(hours=4), lateness=timedelta(minutes=30))),
    by(aggregator=(Mean(), Quantile(0.5))),
]


@pytest.mark.parametrize("change", VIEW_DIFFERS, ids=said)
def test_another_meaning_of_a_view_is_seen(change: Change) -> None:
    assert fingerprint(replace(VIEW, **change)) != fingerprint(VIEW)


@pytest.mark.parametrize("change", VIEW_IS_THE_SAME, ids=said)
def test_the_same_meaning_of_a_view_is_seen(change: Change) -> None:
    assert fingerprint(replace(VIEW, **change)) == fingerprint(VIEW)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"function": other_amount}, True),
        ({"inputs": (VIEW[["median"]],)}, True),
        ({"inputs": (replace(VIEW, version=2)[["mean"]],)}, True),
        ({"inputs": (replace(VIEW, ttl_us=7)[["mean"]],)}, True),
        ({"schema": {"r": int}}, True),
        ({"request": {"amount": int}}, True),
        ({"function": renamed_amount}, False),
        ({"owner": "else", "description": "Else.", "version": 3}, False),
    ],
    ids=said,
)
def test_on_demand_views(change: Change, differs: bool) -> None:
    changed = fingerprint(replace(ON_DEMAND, **change)) != fingerprint(ON_DEMAND)
    assert changed == differs


class Half(Quantile):
    """A stand-in for a transformation: any object with parameters."""


@pytest.mark.parametrize(
    ("features", "change", "differs"),
    [
        ([SELECTED], {}, True),
        ([VIEW["median"], ON_DEMAND], {}, True),
        ([SELECTED, replace(ON_DEMAND, function=other_amount)], {}, True),
        ([SELECTED, ON_DEMAND], {"label": "z"}, True),
        ([SELECTED, ON_DEMAND], {"boundary": "inclusive"}, True),
        ([SELECTED, ON_DEMAND], {"offset": "1h"}, True),
        ([SELECTED, ON_DEMAND], {"request": {"amount": int}}, True),
        ([SELECTED, ON_DEMAND], {"transformations": {"mean": Half(0.1)}}, True),
        ([SELECTED, ON_DEMAND], {"labels": replace(TXNS, event_time="at")}, True),
        ([SELECTED, ON_DEMAND], {"boundary": "strict", "offset": "0s"}, False),
        ([SELECTED, ON_DEMAND], {"owner": "x", "description": "y", "version": 9}, False),
    ],
    ids=said,
)
def test_services(features: Any, change: Change, differs: bool) -> None:
    first = FeatureService("s", [SELECTED, ON_DEMAND], **SERVICE)
    other = FeatureService("s", features, **{**SERVICE, **change})
    assert (fingerprint(other) != fingerprint(first)) == differs


def test_own_aggregators_of_one_line_are_told_apart() -> None:
    made: list[Callable[[Any], Any]] = [lambda e: e.head(1), lambda e: e.head(2)]
    one, other = (fingerprint(replace(VIEW, **by(event_transform=f))) for f in made)
    assert one != other


def test_a_definition_is_of_json_and_says_the_code() -> None:
    [transform] = definition(VIEW)["event_transforms"]
    assert "def amount(events):" in transform["#written"]


def test_what_is_no_declaration_is_refused() -> None:
    with pytest.raises(BeamfleetError, match="expected an Entity, Source"):
        definition(Last())  # type: ignore[arg-type]
