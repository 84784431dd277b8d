"""Drift and skew of columns whose distances are worked out by hand."""

from pathlib import Path

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import BeamfleetError
from components.example_validator.validate import (
    SplitStatistics,
    distances,
    list_anomalies,
    validate_split,
    with_comparators,
)
from components.statistics_gen.compute import write_statistics


def statistics(folder: Path, name: str, cash: int, fare: float = 10.0) -> str:
    """100 trips, so many of them paid in cash."""
    frame = pd.DataFrame(
        {
            "paid": ["cash"] * cash + ["card"] * (100 - cash),
            "fare": [fare + i % 7 for i in range(100)],
        }
    )
    write_statistics(tfdv.generate_statistics_from_dataframe(frame), str(folder / name))
    return str(folder / name / "FeatureStats.pb")


def schema() -> schema_pb2.Schema:
    made = schema_pb2.Schema()
    made.feature.add(name="paid", type=schema_pb2.BYTES)
    made.feature.add(name="fare", type=schema_pb2.FLOAT)
    return made


def test_drift_is_the_largest_change_of_a_share(tmp_path: Path) -> None:
    now, before = statistics(tmp_path, "now", 70), statistics(tmp_path, "before", 60)
    for largest, expected in ((0.09, ["paid"]), (0.11, [])):
        limits = with_comparators(schema(), {"paid": largest, "fare": 0.01}, {})
        found = validate_split(SplitStatistics(now, before), limits, str(tmp_path / "a"))
        assert [one.column for one in list_anomalies("train", found)] == expected
        assert distances(found)["paid"]["drift"] == pytest.approx(0.1)
        assert distances(found)["fare"]["drift"] == pytest.approx(0.0, abs=1e-9)


def test_skew_is_told_from_drift(tmp_path: Path) -> None:
    now, serving = statistics(tmp_path, "now", 70), statistics(tmp_path, "s", 20, fare=30.0)
    limits = with_comparators(schema(), {}, {"paid": 0.2, "fare": 0.2})
    found = validate_split(SplitStatistics(now, serving=serving), limits, str(tmp_path / "a"))
    assert sorted(one.column for one in list_anomalies("train", found)) == ["fare", "paid"]
    assert distances(found)["paid"] == {"skew": pytest.approx(0.5)}


def test_without_a_span_before_there_is_no_drift(tmp_path: Path) -> None:
    now = statistics(tmp_path, "now", 70)
    limits = with_comparators(schema(), {"paid": 0.0}, {})
    found = validate_split(SplitStatistics(now), limits, str(tmp_path / "a"))
    assert list_anomalies("train", found) == [] and distances(found) == {}


def test_the_schema_itself_is_not_changed(tmp_path: Path) -> None:
    given = schema()
    with_comparators(given, {"paid": 0.1}, {"fare": 0.1})
    assert given == schema()
    with pytest.raises(BeamfleetError, match=r"drift names the column 'tips'; the schema has"):
        with_comparators(given, {"tips": 0.1}, {})
