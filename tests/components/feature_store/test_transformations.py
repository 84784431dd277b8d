"""Transformations are fitted on one split, kept exactly, and done again on any rows."""

import json
import math
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.feature_store.transformations import apply, fit
from components.features import (
    Entity,
    FeatureService,
    LabelEncoder,
    Last,
    Lifetime,
    Parquet,
    Source,
    StandardScaler,
    Transformation,
    UnifiedTransformer,
    stream_feature_view,
)

CARD = Entity("card", keys=["card_id"])
TXNS = Source("txns", batch=Parquet("x"), event_time="ts")


@stream_feature_view(entities=[CARD], source=TXNS, schema={"spend": float, "shop": str})
def card(events: Any) -> Any:
    return events | UnifiedTransformer(lambda e: e, Lifetime(), (Last("spend"), Last("shop")))


def service_of(**transformations: Any) -> FeatureService:
    return FeatureService("fraud", [card], transformations=transformations)


def scaled(train: list[Any], rows: list[Any]) -> list[Any]:
    service = service_of(spend=StandardScaler())
    fitted = fit(service, pl.DataFrame({"spend": pl.Series(train, dtype=pl.Float64)}))
    frame = pl.DataFrame({"spend": pl.Series(rows, dtype=pl.Float64)})
    return apply(service, frame, json.loads(json.dumps(fitted)))["spend"].to_list()


def encoded(train: list[Any], rows: list[Any], column: str = "shop") -> list[Any]:
    service, kind = service_of(**{column: LabelEncoder()}), {"shop": pl.String, "spend": pl.Float64}
    fitted = fit(service, pl.DataFrame({column: pl.Series(train, dtype=kind[column])}))
    frame = pl.DataFrame({column: pl.Series(rows, dtype=kind[column])})
    return apply(service, frame, json.loads(json.dumps(fitted)))[column].to_list()


def test_scaled_by_mean_and_deviation_of_the_training_split() -> None:
    assert scaled([1.0, 3.0, None, math.nan, math.inf], [2.0, 4.0, None]) == [0.0, 2.0, None]
    assert math.isnan(scaled([1.0, 3.0], [math.nan])[0])


def test_a_constant_column_is_shifted_to_0() -> None:
    assert scaled([0.1] * 7, [0.1, 2.1]) == [0.0, 2.0]


def test_a_column_of_nulls_stays_as_it_is() -> None:
    assert scaled([None, None], [5.0, None]) == [5.0, None]


def test_too_large_numbers_are_refused() -> None:
    with pytest.raises(BeamfleetError, match=r"'spend'.*too large to be scaled"):
        scaled([1e308, -1e308, 1.7e308], [1.0])


def test_labels_are_places_among_the_sorted_values() -> None:
    assert encoded(["b", "a", None, "c", "a"], ["a", "b", "c", "d", "", None]) == [
        0, 1, 2, -1, -1, None,
    ]  # fmt: skip


def test_what_was_never_seen_is_unknown() -> None:
    assert encoded([None], ["a", None]) == [-1, None]
    rows = [1.0, 2.0, 3.0, math.nan, math.inf]
    assert encoded([2.0, math.nan, 1.0, math.inf], rows, "spend") == [0, 1, -1, -1, -1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.text(max_size=3)), st.lists(st.none() | st.text(max_size=3)))
def test_labels_by_definition(train: list[str | None], rows: list[str | None]) -> None:
    known = sorted({value for value in train if value is not None})
    expected = [
        None if value is None else known.index(value) if value in known else -1 for value in rows
    ]
    assert encoded(train, rows) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.floats(-1e9, 1e9)))
def test_one_value_is_what_it_is_among_many(train: list[float | None]) -> None:
    together = scaled(train, train)
    assert together == [scaled(train, [value])[0] for value in train]


def test_a_mapping_of_another_version_is_refused() -> None:
    with pytest.raises(BeamfleetError, match="transforms spend, but what was fitted is"):
        apply(service_of(spend=StandardScaler()), pl.DataFrame({"spend": [1.0]}), {})


@dataclass(frozen=True)
class Own(Transformation[Any]):
    learnt: Any = None
    made: Any = None

    def fit(self, values: Any) -> Any:
        return self.learnt

    def apply(self, values: Any, fitted: Any) -> Any:
        return self.made(values, fitted)


def test_one_of_your_own_sees_what_json_keeps() -> None:
    service = service_of(spend=Own((1, 2), lambda values, fitted: values * len(fitted)))
    frame = pl.DataFrame({"spend": [1.0, None]})
    fitted = fit(service, frame)
    assert fitted == {"spend": [1, 2]}
    assert apply(service, frame, fitted)["spend"].to_list() == [2.0, None]


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (Own(math.nan, lambda v, f: v), "fit gave what JSON has no value for"),
        (Own(1, lambda v, f: v.fill_null(0.0)), "made something of a null"),
        (Own(1, lambda v, f: v.head(1)), "apply gave 1 values, expected a Series of 3"),
        (Own(1, lambda v, f: v.to_list()), "apply gave list"),
        (Own(1, lambda v, f: v / v.max()), "beside other rows"),
        (Own(1, lambda v, f: v.oops), "apply failed"),
        (StandardScaler(), "is not defined"),
    ],
)
def test_a_transformation_that_cannot_be_meant_is_refused(one: Any, says: str) -> None:
    column = "shop" if isinstance(one, StandardScaler) else "spend"
    frame = pl.DataFrame({"spend": [1.0, 2.0, None], "shop": ["a", "b", None]})
    with pytest.raises(BeamfleetError, match="service 'fraud', ") as error:
        fit(service_of(**{column: one}), frame)
    assert says in str(error.value)
