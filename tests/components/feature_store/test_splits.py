"""Rows are split by time with gaps, or by entity; every row is somewhere."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.feature_store.splits import SPLITS, ByHash, ByTime, Split, places
from components.feature_values.keyed import TIME
from components.features import Entity
from tests.components.feature_store.cards import fraud_service

DAY = datetime(2024, 5, 1, tzinfo=UTC)
SERVICE = fraud_service(Path("x"))


def rows(hours: list[int], cards: list[str] | None = None) -> pl.DataFrame:
    times = [DAY + timedelta(hours=hour) for hour in hours]
    return pl.DataFrame(
        {"card_id": cards or [str(hour) for hour in hours], "event_time": times},
        schema={"card_id": pl.String, "event_time": TIME},
    )


def split(by: Split, frame: pl.DataFrame, known: Any = None, **options: Any) -> list[str]:
    return places(by, fraud_service(Path("x"), **options), frame, known).to_list()


def test_shares_of_the_rows_in_the_order_of_time() -> None:
    assert split(ByTime(0.2, 0.2), rows([4, 0, 1, 3, 2])) == [
        "test", "train", "train", "validation", "train",
    ]  # fmt: skip


def test_boundaries_belong_to_the_later_split() -> None:
    by = ByTime("2024-05-01T02:00:00Z", DAY + timedelta(hours=3))
    assert split(by, rows([1, 2, 3])) == ["train", "validation", "test"]


def test_rows_of_one_time_are_in_one_split() -> None:
    assert split(ByTime(0, 0.5), rows([1, 2, 2, 2])) == ["train", "test", "test", "test"]


def test_rows_shortly_before_a_split_are_in_none() -> None:
    by = ByTime("2024-05-01T10:00", "2024-05-01T20:00", gap="2h")
    placed = split(by, rows([7, 8, 9, 10, 17, 18, 20]))
    assert placed == ["train", "gap", "gap", "validation", "validation", "gap", "test"]


def test_the_gap_is_the_offset_at_least() -> None:
    by = ByTime("2024-05-01T10:00", "2024-05-01T20:00")
    placed = split(by, rows([8, 9, 10, 20]), offset="1h")
    assert placed == ["train", "gap", "validation", "test"]
    with pytest.raises(BeamfleetError, match="gap of 30m is shorter than the offset of 1h"):
        split(ByTime(0.2, 0.2, gap="30m"), rows([1, 2, 3]), offset="1h")


def test_a_label_that_was_known_too_late_does_not_train() -> None:
    by = ByTime("2024-05-01T10:00", "2024-05-01T20:00")
    frame = rows([1, 2, 11, 12, 21])
    known = rows([2, 10, 19, 20, 30])["event_time"]
    assert split(by, frame, known) == ["train", "known_late", "validation", "known_late", "test"]


def test_all_rows_of_an_entity_are_in_one_split() -> None:
    cards = [f"c{number % 50}" for number in range(500)]
    placed = split(ByHash(0.25, 0.25), rows(list(range(500)), cards))
    by_card = pl.DataFrame({"card": cards, "split": placed}).group_by("card").n_unique()
    assert by_card["split"].to_list() == [1] * 50
    assert set(placed) == set(SPLITS)


def test_an_entity_stays_where_it_is_whatever_others_there_are() -> None:
    frame = rows(list(range(300)))
    placed = dict(zip(frame["card_id"], split(ByHash(0.2, 0.2), frame), strict=True))
    alone = frame.tail(100)
    assert split(ByHash(0.2, 0.2), alone) == [placed[card] for card in alone["card_id"]]
    assert [placed[str(card)] for card in range(8)] == [
        "train", "train", "validation", "train", "train", "test", "test", "train",
    ]  # fmt: skip


def test_shares_of_entities_are_about_as_asked() -> None:
    placed = split(ByHash(0.1, 0.3), rows(list(range(5000))))
    assert placed.count("validation") == pytest.approx(500, rel=0.15)
    assert placed.count("test") == pytest.approx(1500, rel=0.1)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 50), min_size=5, max_size=40, unique=True),
    st.sampled_from(["0s", "1h", "7h"]),
)
def test_later_splits_are_later_and_the_gap_is_empty(hours: list[int], gap: str) -> None:
    frame = rows(hours)
    try:
        placed = frame.with_columns(split=pl.Series(split(ByTime(0.3, 0.3, gap), frame)))
    except BeamfleetError as error:
        assert "no row is in" in str(error)
        return
    spans = [placed.filter(pl.col("split") == name)["event_time"] for name in SPLITS]
    for early, late in itertools.pairwise(spans):
        assert late.min() - early.max() >= timedelta(hours=int(gap[:-1]))
    assert set(placed["split"]) <= {*SPLITS, "gap"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ByTime(0.5, 0.5), "leave some to train"),
        (lambda: ByTime(-0.1, 0.5), "leave some to train"),
        (lambda: ByTime(0.5, "2024-05-02"), "two shares or two times"),
        (lambda: ByTime("2024-05-02", "2024-05-01"), "after test"),
        (lambda: ByTime("then", "2024-05-01"), "'then' is no time"),
        (lambda: ByTime(0.1, 0.1, gap="long"), "gap of ByTime"),
        (lambda: ByHash(0.9, 0.2), "leave some to train"),
        (lambda: split(ByTime("2024-06-01", "2024-06-02"), rows([1])), "no row is in validation"),
        (lambda: split(ByTime(0.1, 0.1), rows([])), "no row is in train"),
        (lambda: split(ByHash(0.1, 0.1, Entity("user", ["u"])), rows([1])), "no key u of entity"),
    ],
)
def test_splits_that_cannot_be_meant_are_refused(make: Any, says: str) -> None:
    with pytest.raises(BeamfleetError) as error:
        make()
    assert says in str(error.value)
