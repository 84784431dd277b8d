"""Events are typed, counted and refused before any value is made of them."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_values.keyed import as_time, keyed_events
from components.features import (
    Count,
    Entity,
    FeatureView,
    Last,
    Lifetime,
    Mean,
    Parquet,
    Source,
    UnifiedTransformer,
    stream_feature_view,
)

CARD = Entity("card", keys=["card_id"])
TXNS = Source("txns", batch=Parquet("x"), event_time="ts", created="seen", id="id")
ROWS = pl.DataFrame(
    {
        "card_id": [1, 2, None, 4],
        "ts": ["2024-01-01", "2024-01-01T10:30Z", "2024-01-01", "yesterday"],
        "seen": ["2024-01-01 00:00:01.5", "2024-01-01T12:30:00+02:00", "2024-01-01", "2024-01-01"],
        "id": [7, 8, 9, 10],
        "amount": [1.0, 2.0, 3.0, 4.0],
    }
)


def view_of(transform: Any, *aggregators: Any, source: Any = TXNS) -> FeatureView:
    names = [f"f{i}" for i in range(len(aggregators))]
    several = isinstance(transform, tuple)

    @stream_feature_view(entities=[CARD], source=source, schema=dict.fromkeys(names, float))
    def view(*events: Any) -> Any:
        given = events if several else events[0]
        return given | UnifiedTransformer(transform, Lifetime(), aggregators)

    return view


def amount(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(value=pl.col("amount"))


def test_times_become_utc_and_bad_rows_are_named() -> None:
    made = keyed_events(view_of(amount, Mean(), Last("event_time")), TXNS, ROWS)
    assert made.events.rows() == [
        ("1", _utc(0), _utc(0, 0, 1, 500_000), "7", 1.0),
        ("2", _utc(10, 30), _utc(10, 30), "8", 2.0),
    ]
    assert made.events.columns == ["card_id", "event_time", "created", "event_id", "value"]
    assert made.rejects.rows() == [
        (2, "card_id is missing or cannot be read"),
        (3, "ts is missing or cannot be read"),
    ]


def test_what_is_finer_than_microseconds_is_cut_off_alike_of_text_and_timestamps() -> None:
    said = ["00.0000015", "59.999998500", "59.9999990", "59.999999999", "59.999998"]
    days = ["1970-01-01T00:00", *["1969-12-31T23:59"] * 4]
    text = pl.Series([f"{day}:{end}Z" for day, end in zip(days, said, strict=True)])
    stamps = pl.Series([1_500, -1_500, -1_000, -1, -2_000]).cast(pl.Datetime("ns", "UTC"))
    microseconds = [1, -2, -1, -1, -2]
    assert as_time(stamps, "ts").to_physical().to_list() == microseconds
    assert as_time(text, "ts").to_physical().to_list() == microseconds


def test_integers_beyond_64_bits_are_refused() -> None:
    wide = ROWS.with_columns(amount=pl.Series([1, 2, 3, 4]).cast(pl.Int128))
    made = keyed_events(view_of(amount, Mean()), TXNS, wide)
    assert made.events.schema["value"] == pl.Int64
    with pytest.raises(BeamfleetError, match="'value' has integers beyond 64 bits"):
        keyed_events(view_of(amount, Mean()), TXNS, wide.with_columns(pl.col("amount") * 2**70))


def test_what_is_kept_as_it_is_has_to_be_of_the_type_that_the_schema_says() -> None:
    view = view_of(lambda rows: rows.with_columns(value=pl.col("seen")), Last())
    says = "Last reads 'value', which is .*, expected float as the view's schema says"
    with pytest.raises(BeamfleetError, match=says):
        keyed_events(view, TXNS, ROWS)


def test_what_the_transform_leaves_out_is_counted() -> None:
    view = view_of(lambda events: amount(events).filter(pl.col("amount") < 2), Mean())
    made = keyed_events(view, TXNS, ROWS)
    assert (made.events.height, made.rejects.height, made.filtered) == (1, 0, 3)


def test_no_rows_make_no_events() -> None:
    made = keyed_events(view_of(amount, Mean()), TXNS, ROWS.clear())
    assert (made.events.height, made.rejects.height, made.filtered) == (0, 0, 0)


def test_of_several_sources_one_lacks_the_columns_of_the_other() -> None:
    fails = Source("fails", batch=Parquet("y"), event_time="at")
    view = view_of((amount, lambda e: e), Mean("amount"), Count("code"), source=[TXNS, fails])
    rows = pl.DataFrame({"card_id": ["a"], "at": [datetime(2024, 1, 1)], "code": [5]})
    made = keyed_events(view, fails, rows)
    assert made.events.rows() == [("a", _utc(0), _utc(0), None, None, 5)]


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (lambda e: e, "no column value after event_transform; it has card_id, ts, seen, id"),
        (lambda e: amount(e).drop("ts"), "no column ts"),
        (lambda e: pl.concat([amount(e), amount(e)]), "made 8 rows of 4"),
        (lambda e: e.with_columns(value=pl.col("amount").mean()), "beside other rows"),
        (lambda e: e.with_columns(value=pl.col("oops")), "event_transform failed"),
        (lambda e: e.with_columns(value=pl.lit("x")), "Mean reads 'value', which is String"),
        (lambda e: e.to_dicts(), "gave list"),
        (lambda e: amount(e).with_columns(card_id=pl.lit(1.5)), "card_id is Float64"),
        (lambda e: amount(e).with_columns(ts=pl.lit(5)), "ts is Int32"),
    ],
)
def test_a_transform_that_cannot_be_meant_is_refused(transform: Any, says: str) -> None:
    with pytest.raises(BeamfleetError, match="view 'view', source 'txns'") as error:
        keyed_events(view_of(transform, Mean()), TXNS, ROWS)
    assert says in str(error.value)


def _utc(*time: int) -> datetime:
    return datetime(2024, 1, 1, *time, tzinfo=UTC)
