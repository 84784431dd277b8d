"""What feast's own tests of historical retrieval ask for, and feast itself on the same rows.

The cases are those of its `test_ibis.py` and `test_universal_historical_retrieval.py`: two entities
of one label, a ttl each, a value to the microsecond, rows that were backfilled, a missing join key,
a feature that is there twice.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_join.point_in_time import point_in_time_join
from components.feature_join.rules import Rules
from tests.components.feature_join.naive import joined_naively

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def rules_of(key: str, *features: str, days: int | None = None) -> Rules:
    ttl = None if days is None else days * DAY_US
    return Rules((key,), "order_time", features, ttl, "inclusive", time="seen")


def joined_by(labels: pl.DataFrame, log: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    return point_in_time_join(labels, log, **vars(rules))


def log_of(key: str, seed: int, **features: Any) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    hours = rng.choice(2000, 300, replace=False) / 2
    return pl.DataFrame(
        {
            key: rng.integers(0, 9, 300),
            "seen": [at(hour) for hour in hours.tolist()],
            "created": [at(hour + 1) for hour in hours.tolist()],
            **{name: rng.permutation(300) / 1 for name in features},
        }
    )


def orders() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "order_id": range(200),
            "driver": rng.integers(0, 10, 200),
            "customer": rng.integers(0, 10, 200),
            "order_time": [at(hour) for hour in rng.integers(100, 1100, 200).tolist()],
            "is_success": rng.integers(0, 2, 200),
        }
    )


DRIVERS, CUSTOMERS = log_of("driver", 1, rate=0, trips=0), log_of("customer", 2, balance=0)


def test_two_entities_of_one_label_each_with_its_ttl() -> None:
    drivers, customers = (
        rules_of("driver", "rate", "trips", days=2),
        rules_of("customer", "balance"),
    )
    once = joined_by(orders(), DRIVERS, drivers)
    made = joined_by(once, CUSTOMERS, customers)
    assert made.rows() == joined_naively(once, CUSTOMERS, customers)
    assert once.rows() == joined_naively(orders(), DRIVERS, drivers)
    assert made.columns == [*orders().columns, "rate", "trips", "balance"]


def test_the_value_of_the_moment_itself_and_the_last_of_the_ttl() -> None:
    log = pl.DataFrame({"driver": [1, 1, 2], "seen": [at(0), at(48), at(0)], "rate": [1, 2, 3]})
    moments = [at(48), at(48) - timedelta(microseconds=1), at(24), at(24.0001), at(72.0001)]
    labels = pl.DataFrame({"driver": [1, 1, 2, 2, 1], "order_time": moments})
    made = joined_by(labels, log, rules_of("driver", "rate", days=1))
    assert made["rate"].to_list() == [2, None, 3, None, None]


def test_a_backfilled_row_takes_the_place_of_the_one_it_mends() -> None:
    seen = [at(1), at(1), at(1), at(2)]
    log = pl.DataFrame(
        {"driver": 1, "seen": seen, "created": [at(2), at(9), at(5), at(2)], "rate": [1, 2, 3, 4]}
    )
    labels = pl.DataFrame({"driver": [1, 1], "order_time": [at(1), at(3)]})
    assert joined_by(labels, log, rules_of("driver", "rate"))["rate"].to_list() == [2, 4]


def test_times_in_another_zone_are_the_same_moments() -> None:
    there = orders().with_columns(pl.col("order_time").dt.convert_time_zone("Asia/Tokyo"))
    rules = rules_of("driver", "rate", days=2)
    assert joined_by(there, DRIVERS, rules)["rate"].equals(
        joined_by(orders(), DRIVERS, rules)["rate"]
    )


def test_a_missing_join_key_and_a_feature_that_is_there_twice_are_refused() -> None:
    with pytest.raises(BeamfleetError, match="the labels have no column customer"):
        joined_by(orders().rename({"customer": "c"}), CUSTOMERS, rules_of("customer", "balance"))
    with pytest.raises(BeamfleetError, match="is_success is a column of the labels and a feature"):
        log = DRIVERS.rename({"rate": "is_success"})
        joined_by(orders(), log, rules_of("driver", "is_success"))


@pytest.mark.e2e
def test_equals_feast_where_feast_keeps_the_row(tmp_path: Path) -> None:
    feast = pytest.importorskip("feast", reason="feast is not installed")
    from feast.types import Float64

    DRIVERS.write_parquet(tmp_path / "drivers.parquet")
    config = feast.RepoConfig(
        project="p", provider="local", registry=str(tmp_path / "registry.db"), online_store=None,
        offline_store={"type": "file"}, entity_key_serialization_version=3,
    )  # fmt: skip
    store = feast.FeatureStore(config=config)
    driver = feast.Entity(name="driver", join_keys=["driver"], value_type=feast.ValueType.INT64)
    source = feast.FileSource(
        path=str(tmp_path / "drivers.parquet"), timestamp_field="seen",
        created_timestamp_column="created",
    )  # fmt: skip
    view = feast.FeatureView(
        name="stats", entities=[driver], ttl=timedelta(days=2), online=False, source=source,
        schema=[feast.Field(name="rate", dtype=Float64)],
    )  # fmt: skip
    store.apply([driver, view])
    labels = orders().rename({"order_time": "event_timestamp"})
    theirs = pl.from_pandas(
        store.get_historical_features(labels.to_pandas(), ["stats:rate"]).to_df()
    )
    ours = joined_by(orders(), DRIVERS, rules_of("driver", "rate", days=2))
    both = ours.join(theirs, on="order_id")
    assert both.height == theirs.height > 100
    assert both["rate"].equals(both["rate_right"])
    lost = ours.join(theirs, on="order_id", how="anti")
    assert lost["rate"].null_count() == lost.height
