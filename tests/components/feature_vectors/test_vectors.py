"""Vectors: in order, typed, and the same as training gives."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.feature_join.point_in_time import point_in_time_join
from components.feature_store import transformations
from components.feature_values.changes import changes
from components.feature_values.keyed import keyed_events
from components.feature_values.on_demand import with_on_demand
from components.feature_vectors import FeatureVectors, RowError, frame_of_rows
from components.features import (
    Count,
    Entity,
    FeatureService,
    Last,
    Lifetime,
    Mean,
    Parquet,
    Rolling,
    Source,
    Transformation,
    UnifiedTransformer,
    on_demand,
    stream_feature_view,
)
from components.online_store import OnlineStore, open_online_store

START = datetime(2024, 5, 1, tzinfo=UTC)
CARD = Entity("card", keys=["card_id"])
USER = Entity("user", keys={"user_id": int})
TXNS = Source("txns", batch=Parquet("t"), event_time="ts")
FAILS = Source("fails", batch=Parquet("f"), event_time="ts")


@stream_feature_view(
    entities=[CARD], source=TXNS, schema={"mean": float, "count": int}, ttl="12s", online=True
)
def spend(events: Any) -> Any:
    return events | UnifiedTransformer(lambda e: e, Rolling("5s"), (Mean("amount"), Count()))


@stream_feature_view(entities=[USER], source=FAILS, schema={"failed_at": datetime}, online=True)
def failures(events: Any) -> Any:
    return events | UnifiedTransformer(lambda e: e, Lifetime(), Last("event_time"))


@on_demand(inputs=[failures], schema={"since": float}, request={"amount": float})
def since(inputs: pl.DataFrame) -> pl.DataFrame:
    passed = pl.col("request_time") - pl.col("failed_at")
    return inputs.select(since=passed.dt.total_microseconds() * pl.col("amount"))


@dataclass(frozen=True)
class Centred(Transformation[float]):
    def fit(self, values: pl.Series) -> float:
        return float(values.mean() or 0)  # type: ignore[arg-type]

    def apply(self, values: pl.Series, fitted: float) -> pl.Series:
        return values - fitted


def service_of(boundary: Any = "inclusive", offset: str = "0s") -> FeatureService:
    return FeatureService(
        "fraud",
        features=[spend, since],
        request={"amount": float, "word": str},
        transformations={"mean": Centred(), "amount": Centred()},
        boundary=boundary,
        offset=offset,
    )


FITTED = {"mean": 2.5, "amount": 1.0}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def online(tmp_path: Path) -> Iterator[OnlineStore]:
    store = open_online_store(f"sqlite:///{tmp_path}/online.db")
    yield store
    store.close()


EVENTS = st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 12)), max_size=12)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    txns=EVENTS,
    fails=EVENTS,
    boundary=st.sampled_from(["strict", "inclusive"]),
    offset=st.sampled_from(["0s", "2s"]),
    nudge_us=st.sampled_from([-1, 0, 1]),
)
def test_a_vector_is_what_training_gives_a_label_of_that_time(
    tmp_path_factory: pytest.TempPathFactory,
    txns: Any,
    fails: Any,
    boundary: Any,
    offset: str,
    nudge_us: int,
) -> None:
    service = service_of(boundary, offset)
    online = open_online_store(f"sqlite:///{tmp_path_factory.mktemp('o')}/online.db")
    logs = [log_of(spend, TXNS, "card_id", txns), log_of(failures, FAILS, "user_id", fails)]
    reached = START
    vectors = FeatureVectors(service, online, FITTED)
    for second in range(0, 30, 3):  # as a stream writes: what is known by then, ends included
        now = at(second) + timedelta(microseconds=nudge_us)
        rows = pl.DataFrame({"card_id": ["1", "2", "3"], "user_id": [2, 1, 3]}).with_columns(
            amount=pl.lit(2.0), word=pl.lit("x"), label_time=pl.lit(now)
        )
        earliest = now - timedelta(microseconds=service.offset_us + 1)
        for view, log in zip((spend, failures), logs, strict=True):
            until = log.filter(pl.col("valid_from").is_between(reached, now, closed="both"))
            online.write(
                view, until if second else log.filter(pl.col("valid_from") <= now), earliest
            )
        reached = now
        served = vectors.read(rows, now).inputs
        assert served.equals(trained(service, rows, logs)), second
    online.close()


def log_of(view: Any, source: Source, key: str, events: list[tuple[int, int]]) -> pl.DataFrame:
    names = [str(who) if key == "card_id" else who for who, _ in events]
    schema = {key: pl.String if key == "card_id" else pl.Int64}
    rows = pl.DataFrame({key: names}, schema=schema).with_columns(
        ts=pl.Series([at(s) for _, s in events], dtype=pl.Datetime("us", "UTC")),
        amount=pl.Series([float(s) for _, s in events], dtype=pl.Float64),
    )
    return changes(view, keyed_events(view, source, rows).events)


def trained(service: FeatureService, rows: pl.DataFrame, logs: list[pl.DataFrame]) -> pl.DataFrame:
    """As a training set is made."""
    joined = rows
    for view, log in zip((spend, failures), logs, strict=True):
        joined = point_in_time_join(
            joined, log, keys=view.keys, label_time="label_time", features=view.features,
            ttl_us=view.ttl_us, boundary=service.boundary, offset_us=service.offset_us,
        )  # fmt: skip
    asked = pl.col("label_time") - pl.duration(microseconds=service.offset_us)
    timed = with_on_demand(service, joined.with_columns(asked_at=asked), "asked_at")
    done = transformations.apply(service, timed, FITTED)
    return done.select(*service.request, *service.features)


def test_what_is_served_is_told_for_the_log(online: OnlineStore) -> None:
    online.write(spend, log_of(spend, TXNS, "card_id", [(1, 1)]), at(2))
    online.write(failures, log_of(failures, FAILS, "user_id", [(2, 1)]), at(2))
    asked = [{"card_id": "1", "user_id": 2, "amount": 3.0, "word": None}]
    read = FeatureVectors(service_of(), online, FITTED).read(
        frame_of_rows(service_of(), asked), at(3)
    )
    assert read.values.rows(named=True) == [
        {**asked[0], "mean": 1.0, "count": 1, "failed_at": at(1), "since": 6e6}
    ]
    assert read.valid_from.rows(named=True) == [{"spend": at(1), "failures": at(1)}]
    assert read.inputs.rows(named=True) == [
        {"amount": 2.0, "word": None, "mean": -1.5, "count": 1, "since": 6e6}
    ]


GOOD = {"card_id": "1", "user_id": 2, "amount": 3.0, "word": "x"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"user_id": "2"}, "row 1: 'user_id' is '2', expected a whole number"),
        ({"user_id": True}, "row 1: 'user_id' is True"),
        ({"user_id": 2**63}, "row 1: 'user_id' is 9223372036854775808"),
        ({"user_id": 1.0}, "row 1: 'user_id' is 1.0"),
        ({"card_id": None}, "row 1: 'card_id' is null, expected the key"),
        ({"card_id": 5}, "row 1: 'card_id' is 5, expected text"),
        ({"amount": "3"}, "row 1: 'amount' is '3', expected a number"),
        ({"amount": float("nan")}, "row 1: 'amount' is nan"),
        ({"word": ["x" * 100]}, "row 1: 'word' is ["),
        ({"oops": 1}, "row 1 has the unknown 'oops'; service 'fraud' takes card_id, user_id"),
    ],
)
def test_a_wrong_row_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RowError) as error:
        frame_of_rows(service_of(), [GOOD, GOOD | change])
    assert says in str(error.value) and len(str(error.value)) < 300


def test_a_missing_column_is_named(online: OnlineStore) -> None:
    short = {name: value for name, value in GOOD.items() if name != "amount"}
    with pytest.raises(RowError, match="row 0 lacks amount; service 'fraud'"):
        frame_of_rows(service_of(), [short])
    vectors = FeatureVectors(service_of(), online, FITTED)
    with pytest.raises(RowError, match="no column amount in the request; it has card_id"):
        vectors.read(pl.DataFrame([short]), at(1))
    with pytest.raises(RowError, match="'user_id' is String, declared as int"):
        vectors.read(pl.DataFrame([GOOD | {"user_id": "2"}]), at(1))
    with pytest.raises(RowError, match="row 1: 'card_id' is null"):
        vectors.read(pl.DataFrame([GOOD, GOOD | {"card_id": None}]), at(1))


def test_what_was_fitted_with_another_version_is_refused(online: OnlineStore) -> None:
    with pytest.raises(BeamfleetError, match="transforms mean, amount, but what was fitted is for"):
        FeatureVectors(service_of(), online, {"mean": 1.0})


def test_two_versions_of_a_view_are_refused(online: OnlineStore) -> None:
    other = replace(spend, version=2, schema={"mean_2": float, "count_2": int})
    with pytest.raises(BeamfleetError, match="reads two versions of spend"):
        FeatureVectors(FeatureService("s", [spend, other]), online)
