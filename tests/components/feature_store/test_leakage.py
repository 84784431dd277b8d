"""No feature depends on what happened, or got known, after its label."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.feature_store.rows import with_features
from components.feature_values.changes import changes
from components.feature_values.keyed import TIME, keyed_events
from components.features import (
    Count,
    FeatureService,
    FeatureView,
    Last,
    Mean,
    Session,
    Tumbling,
    UnifiedTransformer,
    stream_feature_view,
)
from tests.components.feature_store.cards import CARD, START, fraud_service, same, spend_view

HOUR = 4
"""Times are whole quarters of an hour, so that many of them meet."""


def at(quarters: int) -> datetime:
    return START + timedelta(hours=quarters / HOUR)


def event(quarters: int, late: int, card: str, amount: int) -> dict[str, Any]:
    return {
        "card_id": card, "ts": at(quarters), "seen": at(quarters + late), "id": None,
        "amount": float(amount), "shop": "abc"[amount % 3],
    }  # fmt: skip


EVENTS = st.lists(
    st.builds(event, st.integers(0, 80), st.integers(0, 12), st.sampled_from("ab"),
              st.integers(0, 9)),
    min_size=1, max_size=25,
)  # fmt: skip


def views(folder: Path) -> list[FeatureView]:
    source = spend_view(folder).sources[0]

    @stream_feature_view(entities=[CARD], source=source, schema={"day": float, "n": int})
    def tumbling(events: Any) -> Any:
        return events | UnifiedTransformer(same, Tumbling("3h"), (Mean("amount"), Count()))

    @stream_feature_view(entities=[CARD], source=source, schema={"sitting": int, "newest": str})
    def session(events: Any) -> Any:
        return events | UnifiedTransformer(same, Session("1h"), (Count(), Last("shop")))

    return [tumbling, session]


def service_of(boundary: Any, offset: str) -> FeatureService:
    folder = Path("x")
    whole = fraud_service(folder)
    return FeatureService(
        "all", [*views(folder), *whole.views, *whole.on_demand], labels=whole.labels,
        label="is_fraud", request={"asked": int}, boundary=boundary, offset=offset,
    )  # fmt: skip


def features(
    service: FeatureService, events: list[dict[str, Any]], label: datetime, known: bool
) -> pl.DataFrame:
    """Of one label for each card."""
    kinds = {"card_id": pl.String, "ts": TIME, "seen": TIME, "id": pl.String,
             "amount": pl.Float64, "shop": pl.String}  # fmt: skip
    rows = pl.DataFrame(events, schema=kinds)
    labels = pl.DataFrame(
        {"card_id": ["a", "b"], "event_time": [label] * 2, "asked": [3, 3]},
        schema_overrides={"event_time": TIME},
    )

    def log(view: Any, _: pl.DataFrame) -> pl.DataFrame:
        return changes(view, keyed_events(view, view.sources[0], rows).events, known=known)

    return with_features(service, labels, log, as_known=known)


@pytest.mark.parametrize("known", [False, True])
@settings(max_examples=50, deadline=None)
@given(EVENTS, EVENTS, st.integers(0, 90), st.sampled_from(["strict", "inclusive"]),
       st.sampled_from(["0s", "2h"]))  # fmt: skip
def test_what_comes_after_changes_nothing(
    known: bool, events: Any, others: Any, quarters: int, boundary: Any, offset: str
) -> None:
    """All events behind the label's moment are put in the place of other ones."""
    service, label = service_of(boundary, offset), at(quarters)
    moment = label - timedelta(microseconds=service.offset_us)

    def seen(one: dict[str, Any]) -> bool:
        when = max(one["ts"], one["seen"]) if known else one["ts"]
        return bool(when < moment if boundary == "strict" else when <= moment)

    before = [one for one in events if seen(one)]
    perturbed = before + [one for one in others if not seen(one)]
    expected = features(service, events, label, known)
    assert features(service, perturbed, label, known).equals(expected)
    assert features(service, before, label, known).equals(expected)


def test_the_test_would_see_a_leak() -> None:
    """An event of the label's own moment is seen by the inclusive boundary only."""
    events = [event(8, 0, "a", 1), event(12, 0, "a", 5)]
    strict = features(service_of("strict", "0s"), events, at(12), False)
    inclusive = features(service_of("inclusive", "0s"), events, at(12), False)
    assert strict["count_4h"].to_list()[0] == 1
    assert inclusive["count_4h"].to_list()[0] == 2
    late = [*events, event(10, 9, "a", 7)]
    assert features(service_of("inclusive", "0s"), late, at(12), True).equals(inclusive)
    assert not features(service_of("inclusive", "0s"), late, at(12), False).equals(inclusive)
