"""What a view expects is looked for in what was made, and said with what was found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_store.expectations import check_expectations
from components.feature_values.keyed import TIME
from components.features import CountAgainstYesterday, Fresh, InRange, NullShare
from tests.components.feature_store.cards import spend_view

NOON = datetime(2024, 5, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def check(expectation: Any, values: list[float | None], times: list[datetime]) -> None:
    log = pl.DataFrame(
        {
            "card_id": [f"c{number}" for number in range(len(values))],
            "valid_from": [NOON] * len(values),
            "mean_4h": values,
        },
        schema={"card_id": pl.String, "valid_from": TIME, "mean_4h": pl.Float64},
    )
    events = pl.DataFrame(
        {"card_id": ["e"] * len(times), "event_time": times},
        schema={"card_id": pl.String, "event_time": TIME},
    )
    view = spend_view(Path("x"), expect=[expectation])
    check_expectations(view, log.lazy(), events.lazy(), NOON)


@pytest.mark.parametrize(
    ("expectation", "values", "times"),
    [
        (InRange("mean_4h", 0, 10), [0.0, 10.0, None], []),
        (InRange("mean_4h", max=10), [-1e9], []),
        (InRange("mean_4h", 0, 10), [], []),
        (NullShare("mean_4h", 0.5), [1.0, None], []),
        (NullShare("mean_4h", 0), [], []),
        (Fresh("1d"), [], [NOON - DAY, NOON - 5 * DAY]),
        (CountAgainstYesterday(0.5, 2), [], [NOON - DAY] * 2 + [NOON - 2 * DAY] * 4),
        (CountAgainstYesterday(), [], [NOON - DAY]),
        (CountAgainstYesterday(), [], []),
    ],
)
def test_what_is_as_expected_passes(expectation: Any, values: Any, times: Any) -> None:
    check(expectation, values, times)


@pytest.mark.parametrize(
    ("expectation", "values", "times", "says"),
    [
        (InRange("mean_4h", 0, 10), [1.0, -0.5, 11.0], [],
         "2 of 3 values lie outside, such as card_id c1, valid_from 2024-05-03T12:00:00+00:00, "
         "mean_4h -0.5; card_id c2"),
        (InRange("mean_4h", min=0), [float("nan")], [], "1 of 1 values lie outside"),
        (InRange("mean_4h", min=0), [float("-inf")], [], "1 of 1 values lie outside"),
        (NullShare("mean_4h", 0.5), [None, 1.0, None], [], "2 of 3 values are null (66.7%), such "
         "as card_id c0"),
        (Fresh("1d"), [], [NOON - DAY - timedelta(seconds=1)], "the newest event is 1d1s older "
         "than 2024-05-03T12:00:00+00:00, that of card_id e"),
        (Fresh("1d"), [], [], "there are no events"),
        (CountAgainstYesterday(0.5, 2), [], [NOON - DAY] * 1 + [NOON - 2 * DAY] * 3,
         "1 events on 2024-05-02, 3 on 2024-05-01"),
        (CountAgainstYesterday(0.5, 2), [], [NOON - 3 * DAY, NOON - DAY], "1 events on 2024-05-02, "
         "0 on 2024-05-01"),
    ],
)  # fmt: skip
def test_what_is_not_as_expected_is_told(
    expectation: Any, values: Any, times: Any, says: str
) -> None:
    with pytest.raises(BeamfleetError) as error:
        check(expectation, values, times)
    assert "view 'card_spend' version 1 is not as it expects" in str(error.value)
    assert type(expectation).__name__ in str(error.value)
    assert says in str(error.value)


def test_all_that_does_not_hold_is_told_at_once_and_keys_are_only_text() -> None:
    log = pl.DataFrame(
        {"card_id": ["\x1b[2Jc"], "valid_from": [NOON], "mean_4h": [5.0]},
        schema_overrides={"valid_from": TIME},
    )
    view = spend_view(Path("x"), expect=[InRange("mean_4h", max=1), Fresh("1d")])
    events = pl.DataFrame(schema={"card_id": pl.String, "event_time": TIME})
    with pytest.raises(BeamfleetError) as error:
        check_expectations(view, log.lazy(), events.lazy(), NOON)
    assert "InRange" in str(error.value)
    assert "no events" in str(error.value)
    assert "\x1b" not in str(error.value)
