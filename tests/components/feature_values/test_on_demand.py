"""On-demand features are the same for one row and for a million."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_values.keyed import TIME
from components.feature_values.on_demand import with_on_demand
from components.features import (
    Entity,
    FeatureService,
    Last,
    Lifetime,
    Parquet,
    Source,
    UnifiedTransformer,
    on_demand,
    stream_feature_view,
)

USER = Entity("user", keys=["user_id"])
CHECKOUTS = Source("checkouts", batch=Parquet("x"), event_time="ts")
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@stream_feature_view(
    entities=[USER], source=CHECKOUTS, schema={"checkout_at": datetime, "spent": float}
)
def checkout(events: Any) -> Any:
    return events | UnifiedTransformer(lambda e: e, Lifetime(), (Last("event_time"), Last("spent")))


def since(inputs: pl.DataFrame) -> pl.DataFrame:
    passed = pl.col("request_time") - pl.col("checkout_at")
    return inputs.select(since=passed.dt.total_seconds(), share=pl.col("amount") / pl.col("spent"))


def service_of(function: Any) -> FeatureService:
    def since_checkout(inputs: pl.DataFrame) -> Any:
        return function(inputs)

    made = on_demand(
        inputs=[checkout],
        schema={"since": float, "share": float},
        request={"amount": float},
    )(since_checkout)
    return FeatureService("fraud", [checkout[["spent"]], made], request={"amount": float})


def rows(height: int) -> pl.DataFrame:
    numbers = pl.int_range(height, eager=True)
    return pl.DataFrame(
        {
            "user_id": numbers.cast(pl.String),
            "at": pl.Series([NOON + timedelta(seconds=i) for i in range(height)], dtype=TIME),
            "checkout_at": pl.Series([NOON - timedelta(hours=1)] * height, dtype=TIME),
            "spent": numbers + 1.5,
            "amount": numbers * 2,
        }
    )


def test_they_stand_behind_the_columns_in_their_types() -> None:
    made = with_on_demand(service_of(since), rows(2), "at")
    assert made.columns == [*rows(2).columns, "since", "share"]
    assert made["since"].to_list() == [3600.0, 3601.0]
    assert made["share"].to_list() == [0.0, 2 / 2.5]
    assert made["since"].dtype == pl.Float64


def test_one_row_has_the_values_that_it_has_among_many() -> None:
    many = with_on_demand(service_of(since), rows(1000), "at")
    for row in (0, 1, 65, 999):
        alone = with_on_demand(service_of(since), rows(1000)[row], "at")
        assert alone.equals(many[row])


def test_no_rows_and_nulls_have_their_types() -> None:
    none = with_on_demand(service_of(since), rows(0), "at")
    assert none.schema["share"] == pl.Float64
    unknown = rows(3).with_columns(checkout_at=None, spent=None)
    made = with_on_demand(service_of(since), unknown, "at")
    assert made["since"].to_list() == [None] * 3
    assert made.schema["share"] == pl.Float64


def test_it_sees_what_it_declares_and_no_more() -> None:
    seen = []
    with_on_demand(service_of(lambda e: (seen.append(e.columns), since(e))[1]), rows(1), "at")
    assert seen == [["checkout_at", "spent", "amount", "request_time"]]


def test_a_service_without_any_gives_the_frame_back() -> None:
    assert with_on_demand(FeatureService("plain", [checkout]), rows(2), "at").equals(rows(2))


def mean(inputs: pl.DataFrame) -> pl.DataFrame:
    return since(inputs).with_columns(pl.col("share") - pl.col("share").mean())


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (mean, "other values for a row beside other rows"),
        (lambda e: since(e).sort("share", descending=True), "beside other rows"),
        (lambda e: since(e).sort("share"), "beside other rows"),
        (lambda e: since(e).with_columns(pl.col("share").shift()), "beside other rows"),
        (lambda e: since(e).head(1), "made 1 rows of 4; expected one for each"),
        (lambda e: since(e).drop("share"), "gave since; its schema has since"),
        (lambda e: since(e).with_columns(more=1), "gave since, share, more"),
        (lambda e: since(e).cast(pl.String), "since is String, declared as float"),
        (lambda e: since(e).to_dicts(), "gave list, expected a polars DataFrame"),
        (lambda e: e.select("user_id"), "failed"),
    ],
)
def test_a_function_that_cannot_be_meant_is_refused(function: Any, says: str) -> None:
    with pytest.raises(BeamfleetError, match="service 'fraud', on-demand view") as error:
        with_on_demand(service_of(function), rows(4), "at")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop("amount"), "reads amount; the rows have user_id, at"),
        (lambda f: f.with_columns(amount=pl.lit("12")), "amount is String, declared as float"),
        (lambda f: f.drop("at"), "reads at"),
        (lambda f: f.with_columns(at=pl.lit("soon")), "at of row 0 is no time"),
    ],
)
def test_rows_that_cannot_be_meant_are_refused(change: Any, says: str) -> None:
    with pytest.raises(BeamfleetError) as error:
        with_on_demand(service_of(since), change(rows(2)), "at")
    assert says in str(error.value)


def test_a_hidden_input_that_another_column_is_called_like_is_refused() -> None:
    made = on_demand(inputs=[checkout], schema={"x": float})(since)
    with pytest.raises(BeamfleetError, match=r"'spent' of view 'checkout'.*also a column"):
        FeatureService("fraud", [made], request={"spent": float})
