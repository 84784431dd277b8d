"""Splits by time: in order, with a gap, and none without any time."""

from datetime import UTC, datetime

import pytest

from components.errors import BeamfleetError
from components.feature_example_gen.splits import Span, moment, spans

END = datetime(2024, 5, 22, tzinfo=UTC)


def day(number: int) -> datetime:
    return datetime(2024, 5, number, tzinfo=UTC)


def test_a_split_ends_a_gap_before_the_next_and_the_last_one_at_as_of() -> None:
    made = spans({"eval": "2024-05-15", "train": "2024-05-02"}, "1d", END)
    assert made == (Span("train", day(2), day(14)), Span("eval", day(15), END))


def test_three_splits() -> None:
    splits = {"train": "2024-05-02", "eval": "2024-05-15", "test": "2024-05-18T12:00:00+02:00"}
    ends = {span.name: span.end for span in spans(splits, "0s", END)}
    assert ends == {"train": day(15), "eval": day(18).replace(hour=10), "test": END}


@pytest.mark.parametrize(
    ("splits", "gap", "said"),
    [
        ({"train": "2024-05-02", "eval": "2024-05-22"}, "0s", "'eval' begins at 2024-05-22.*as_of"),
        ({"train": "2024-05-14", "eval": "2024-05-15"}, "1d", "'train'.*less a gap of 1d.*no time"),
        ({"train": "2024-05-14", "eval": "2024-05-14"}, "0s", "has no time"),
        ({"train": "in May"}, "0s", "split 'train' is 'in May', expected a day"),
        ({"train": "2024-05-14"}, "soon", "gap is 'soon'"),
    ],
)
def test_a_split_without_time_is_refused(splits: dict[str, str], gap: str, said: str) -> None:
    with pytest.raises(BeamfleetError, match=said):
        spans(splits, gap, END)


def test_a_moment_without_zone_is_utc() -> None:
    assert moment("2024-05-22", "x") == moment("2024-05-22T02:00:00+02:00", "x") == END
