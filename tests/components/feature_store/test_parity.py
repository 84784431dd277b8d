"""Stream and backfill of a day are compared point by point."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.feature_store.parity import Parity, compared
from components.feature_values.keyed import TIME
from tests.components.feature_store.cards import spend_view

DAY = datetime(2024, 5, 3, tzinfo=UTC)
VIEW = spend_view(Path("x"))
Row = tuple[str, float, float | None, int | None]


def log(rows: list[Row]) -> pl.LazyFrame:
    return pl.LazyFrame(
        [(card, DAY + timedelta(hours=hour), mean, count) for card, hour, mean, count in rows],
        schema={"card_id": pl.String, "valid_from": TIME, "mean_4h": pl.Float64,
                "count_4h": pl.Int64},
        orient="row",
    )  # fmt: skip


def compare(streamed: list[Row], backfilled: list[Row]) -> Parity:
    return compared(VIEW, date(2024, 5, 3), log(streamed), log(backfilled))


def test_the_same_is_the_same_in_any_order_and_other_days_do_not_count() -> None:
    rows: list[Row] = [("a", 1, 0.3, 1), ("b", 2, None, 0), ("c", 3, float("nan"), 5)]
    made = compare([*rows[::-1], ("a", 24, 9.0, 9)], [("a", -0.1, 8.0, 8), *rows])
    assert made.same
    assert (made.both, made.examples.height) == (3, 0)


def test_floats_may_differ_in_the_last_digits() -> None:
    assert compare([("a", 1, 0.1 + 0.2, 1)], [("a", 1, 0.3, 1)]).same
    assert not compare([("a", 1, 1 + 2e-9, 1)], [("a", 1, 1.0, 1)]).same


@pytest.mark.parametrize(
    ("one", "other"),
    [(1.0, 2.0), (None, 1.0), (1.0, None), (float("nan"), 1.0), (float("nan"), None),
     (float("inf"), 1.0), (float("inf"), float("-inf")), (0.0, 1e-9)],
)  # fmt: skip
def test_other_values_are_counted_by_feature_and_shown(one: Any, other: Any) -> None:
    made = compare([("a", 1, one, 1), ("b", 1, 1.0, 2)], [("a", 1, other, 1), ("b", 1, 1.0, 3)])
    assert not made.same
    assert made.differing == {"mean_4h": 1, "count_4h": 1}
    assert (made.both, made.only_stream, made.only_backfill) == (2, 0, 0)
    assert made.examples.select("card_id", "feature").rows() == [
        ("a", "mean_4h"), ("b", "count_4h"),
    ]  # fmt: skip
    assert made.examples.row(1)[3:] == ("2", "3")


def test_points_that_only_one_has_are_counted_and_shown() -> None:
    made = compare([("a", 1, 1.0, 1), ("b", 2, 1.0, 1)], [("a", 1, 1.0, 1), ("c", 3, 1.0, 1)])
    assert (made.both, made.only_stream, made.only_backfill) == (1, 1, 1)
    assert not made.same
    assert made.examples.select("card_id", "feature", "stream", "backfill").rows() == [
        ("b", None, "a row", None), ("c", None, None, "a row"),
    ]  # fmt: skip
