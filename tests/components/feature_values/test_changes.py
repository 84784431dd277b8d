"""Change logs hold the values that the definition gives, at every point in time."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.feature_values.changes import changes
from components.feature_values.keyed import keyed_events
from components.features import (
    Aggregator,
    Count,
    Entity,
    FeatureView,
    First,
    Last,
    Lifetime,
    Max,
    Mean,
    Min,
    Parquet,
    Rolling,
    Session,
    Source,
    Std,
    Sum,
    Tumbling,
    UnifiedTransformer,
    stream_feature_view,
)
from tests.components.feature_values import naive

CARD = Entity("card", keys={"card_id": str, "place": int})
TXNS = Source("txns", batch=Parquet("x"), event_time="ts", created="seen", id="id")
FAILS = Source("fails", batch=Parquet("y"), event_time="at", created="seen")
START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Newest(Aggregator[tuple[str, ...]]):
    """The last two values, as text: minds the order."""

    of: str = "amount"

    def zero(self) -> tuple[str, ...]:
        return ()

    def add(self, state: tuple[str, ...], value: Any) -> tuple[str, ...]:
        return (*state, str(value))[-2:]

    def merge(self, earlier: tuple[str, ...], later: tuple[str, ...]) -> tuple[str, ...]:
        return (*earlier, *later)[-2:]

    def extract(self, state: tuple[str, ...]) -> str | None:
        return "-".join(state) or None


ALL: dict[str, tuple[Any, type]] = {
    "events": (Count(), int),
    "codes": (Count("code"), int),
    "amount": (Sum("amount"), float),
    "code_sum": (Sum("code"), int),
    "mean": (Mean("amount"), float),
    "spread": (Std("amount"), float),
    "least": (Min("amount"), float),
    "most": (Max("code"), int),
    "first_kind": (First("kind"), str),
    "least_kind": (Min("kind"), str),
    "last_amount": (Last("amount"), float),
    "last_time": (Last("event_time"), datetime),
    "first_time": (Min("event_time"), datetime),
    "newest": (Newest(), str),
}
WINDOWS = [Rolling("5s"), Tumbling("4s"), Session("3s"), Lifetime()]


def view_of(window: Any, features: Any = None, source: Any = (TXNS, FAILS)) -> FeatureView:
    features = features or ALL
    types = {name: kind for name, (_, kind) in features.items()}
    several = isinstance(source, tuple)

    @stream_feature_view(entities=[CARD], source=source, schema=types)
    def view(*events: Any) -> Any:
        transforms = (as_they_are,) * len(source) if several else as_they_are
        return (events if several else events[0]) | UnifiedTransformer(
            transforms, window, tuple(one for one, _ in features.values())
        )

    return view


def as_they_are(events: pl.DataFrame) -> pl.DataFrame:
    return events


def seconds(count: float) -> datetime:
    return START + timedelta(seconds=count)


HALVES = st.integers(-6, 6).map(lambda n: n / 2)
DELAYS = st.sampled_from([0, 0, 0, 1, 2, 7, 12, 0.000001])
EVENT = st.fixed_dictionaries(
    {
        "card_id": st.sampled_from("ab"),
        "place": st.integers(1, 2),
        "ts": st.one_of(st.integers(0, 25), HALVES).map(seconds),
        "delay": DELAYS,
        "id": st.sampled_from([None, None, "x", "y"]),
        "amount": st.none() | HALVES,
        "code": st.none() | st.integers(-3, 3),
        "kind": st.none() | st.sampled_from(["u", "v", "é"]),
    }
)
TYPES = {
    "card_id": pl.String, "place": pl.Int64, "ts": pl.Datetime("us", "UTC"), "delay": pl.Float64,
    "id": pl.String, "amount": pl.Float64, "code": pl.Int64, "kind": pl.String,
}  # fmt: skip


def keyed(view: FeatureView, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Events of both sources: every third is a fail, which has no id and no kind."""
    frame = pl.DataFrame(rows, schema=TYPES).with_columns(
        seen=pl.col("ts") + pl.duration(microseconds=pl.col("delay") * 1_000_000)
    )
    if len(view.sources) == 1:
        return keyed_events(view, TXNS, frame).events
    fails = frame.gather_every(3).rename({"ts": "at"}).drop("id", "kind")
    txns = frame.with_row_index("n").filter(pl.col("n") % 3 != 0).drop("n")
    parts = [keyed_events(view, TXNS, txns), keyed_events(view, FAILS, fails)]
    return pl.concat([part.events for part in parts], how="diagonal_relaxed")


def value_at(log: pl.DataFrame, key: tuple[Any, ...], at: datetime) -> tuple[Any, ...] | None:
    mine = log.filter(card_id=key[0], place=key[1]).filter(pl.col("valid_from") <= at)
    return mine.drop("card_id", "place", "valid_from", "created").row(-1) if mine.height else None


def same(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    return all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
        if isinstance(a, float) and isinstance(b, float)
        else a == b
        for a, b in zip(ours, theirs, strict=True)
    )


def check(view: FeatureView, events: pl.DataFrame, known: bool = False) -> None:
    log = changes(view, events, known=known)
    order = [*view.keys, "valid_from"]
    assert log.equals(log.sort(order))
    assert not log.select(order).is_duplicated().any()
    empty = tuple(one.extract(one.zero()) for one, _ in ALL.values())
    for key in events.select(view.keys).unique().rows():
        times = set(log.filter(card_id=key[0], place=key[1])["valid_from"])
        times |= {at + timedelta(microseconds=n) for at in times for n in (-1, 1)}
        for at in sorted(times | {seconds(n) for n in (0, 5, 40)}):
            ours = value_at(log, key, at) or empty
            theirs = naive.value_at(view, events, key, at, known)
            assert same(ours, theirs), (key, at, ours, theirs)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@given(rows=st.lists(EVENT, max_size=14))
@settings(max_examples=40, deadline=None)
def test_every_value_is_that_of_the_definition(window: Any, rows: list[dict[str, Any]]) -> None:
    view = view_of(window)
    check(view, keyed(view, rows))


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@given(rows=st.lists(EVENT, max_size=14))
@settings(max_examples=40, deadline=None)
def test_what_was_known_is_that_of_the_definition(window: Any, rows: list[dict[str, Any]]) -> None:
    view = view_of(window)
    check(view, keyed(view, rows), known=True)
