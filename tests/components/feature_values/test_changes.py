"""Change logs hold the values that the definition gives, at every point in time."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from components.errors import BeamfleetError
from components.feature_values import ordered
from components.feature_values.changes import changes, counted_changes
from components.feature_values.keyed import keyed_events
from components.feature_values.slices import SlicedChanges
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
        same_number(a, b) if isinstance(a, float) and isinstance(b, float) else a == b
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


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@given(rows=st.lists(EVENT, max_size=20), cuts=st.sets(st.integers(-3, 40), max_size=5))
@settings(max_examples=40, deadline=None)
def test_slices_of_time_make_the_same_log(
    window: Any, rows: list[dict[str, Any]], cuts: set[int]
) -> None:
    view = view_of(window)
    events, sliced, since = keyed(view, rows), SlicedChanges(view), naive.EPOCH
    logs = []
    for until in (*map(seconds, sorted(cuts)), None):
        before = True if until is None else pl.col("event_time") < until
        some = events.filter(pl.col("event_time") >= since, before)
        micros = None if until is None else (until - naive.EPOCH) // timedelta(microseconds=1)
        logs.append(sliced.add(some, micros))
        since = until or since
    whole, duplicates = counted_changes(view, events)
    order = [*view.keys, "valid_from"]
    assert_frame_equal(pl.concat(logs).sort(order), whole, rel_tol=1e-9, abs_tol=1e-9)
    assert sliced.duplicates == duplicates


def one_key(values: list[Any]) -> list[dict[str, Any]]:
    return [
        {"card_id": "a", "place": 1, "ts": seconds(n), "delay": 0, "id": None, "amount": value}
        for n, value in enumerate(values)
    ]


SOME = {name: ALL[name] for name in ("amount", "mean", "spread", "least", "last_amount")}
SOME["most_amount"] = (Max("amount"), float)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("known", [False, True])
def test_what_is_no_number_leaves_with_its_event(odd: float, known: bool) -> None:
    values = [n / 4 for n in range(40)]
    values[7], values[22] = odd, odd
    rows = one_key(values)
    for n, row in enumerate(rows):
        row["delay"] = (0, 1, 3, 2)[n % 4] if known else 0
    view = view_of(Rolling("5s"), SOME, TXNS)
    events = keyed(view, rows)
    for row in changes(view, events, known=known).iter_rows(named=True):
        theirs = naive.value_at(view, events, ("a", 1), row["valid_from"], known)
        assert same(tuple(row[name] for name in SOME), theirs), row["valid_from"]


def same_number(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def test_sums_of_whole_numbers_are_exact_or_refused() -> None:
    most = 2**63 - 1
    view = view_of(Rolling("3s"), {"whole": (Sum("code"), int)}, TXNS)

    def sums(codes: list[int]) -> list[Any]:
        rows = [row | {"code": code} for row, code in zip(one_key(codes), codes, strict=True)]
        return changes(view, keyed(view, rows))["whole"].to_list()

    assert sums([most, -1, -most, 5, 6]) == [most, most - 1, -1, 4 - most, 11 - most, 11, 6, None]
    assert sums([-most, -1])[:2] == [-most, -most - 1]
    with pytest.raises(BeamfleetError, match="feature 'whole': Sum of 'code' failed"):
        sums([most, 1, -5])
    with pytest.raises(BeamfleetError, match="leaves 64 bits"):
        sums([-most, -2])


def test_long_windows_of_floats_do_not_drift() -> None:
    values = [1e16 if n % 1000 == 500 else 0.1 for n in range(5_000)]
    view = view_of(Rolling("10s"), {"total": (Sum("amount"), float)}, TXNS)
    log = changes(view, keyed(view, one_key(values)))
    small = log.filter(pl.col("total") < 1e15)["total"]
    assert small.len() > 4_900
    assert small.max() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(
    ("one", "kind", "says"),
    [
        (Mean("amount"), int, "do not all fit into int"),
        (Count(), str, "do not all fit into str"),
        (Newest("amount"), int, "do not all fit into int"),
    ],
)
def test_values_that_are_not_as_the_schema_says_are_refused(
    one: Any, kind: type, says: str
) -> None:
    view = view_of(Lifetime(), {"f": (one, kind)}, TXNS)
    rows = [row | {"kind": "u"} for row in one_key([1.0, 2.5])]
    with pytest.raises(BeamfleetError, match="view 'view', feature 'f'") as error:
        changes(view, keyed(view, rows))
    assert says in str(error.value)


def test_a_session_that_is_over_when_its_late_event_gets_known_is_none() -> None:
    view = view_of(Session("10s"), {"n": (Count(), int)}, TXNS)
    first, second = one_key([1.0, 2.0])
    rows = [first | {"delay": 20}, second | {"ts": seconds(5), "delay": 10}]
    log = changes(view, keyed(view, rows), known=True)
    assert log.select("valid_from", "n").rows() == [(seconds(15), 0), (seconds(20), 0)]


def test_more_keys_than_fit_on_one_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        row | {"card_id": card, "place": place, "ts": seconds(n)}
        for n, row in enumerate(one_key([1.0, 2.0]))
        for card in "abc"
        for place in (1, 2)
    ]
    view = view_of(Rolling("5s"))
    whole = changes(view, keyed(view, rows))
    monkeypatch.setattr(ordered, "_MOST", 25_000_000)
    assert len(list(ordered.in_order(view, keyed(view, rows)))) == 3
    assert changes(view, keyed(view, rows)).equals(whole)
