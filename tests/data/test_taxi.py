"""The committed trips are what the script makes, and hold what its head promises."""

import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pytest

DATA = Path(__file__).parents[2] / "data"
PUBLIC_COLUMNS = [
    "pickup_community_area",
    "fare",
    "trip_start_month",
    "trip_start_hour",
    "trip_start_day",
    "trip_start_timestamp",
    "pickup_latitude",
    "pickup_longitude",
    "dropoff_latitude",
    "dropoff_longitude",
    "trip_miles",
    "pickup_census_tract",
    "dropoff_census_tract",
    "payment_type",
    "company",
    "trip_seconds",
    "dropoff_community_area",
    "tips",
]


def span(number: int) -> object:
    return pa_csv.read_csv(DATA / "taxi" / f"span-{number}" / "data.csv")


@pytest.mark.parametrize(
    ("folder", "options"),
    [
        ("taxi", ["--rows", "4000", "--seed", "1", "--spans", "3"]),
        ("taxi_unlabelled", ["--rows", "600", "--seed", "2", "--spans", "1", "--unlabelled"]),
    ],
)
def test_the_script_makes_the_committed_trips(
    folder: str, options: list[str], tmp_path: Path
) -> None:
    script = DATA / "make_taxi.py"
    subprocess.run([sys.executable, script, "--out", tmp_path, *options], check=True)
    made = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*.csv")}
    there = {p.relative_to(DATA / folder): p.read_bytes() for p in (DATA / folder).rglob("*.csv")}
    assert made == there and made


def test_the_columns_are_those_of_the_public_sample() -> None:
    assert span(1).column_names == PUBLIC_COLUMNS  # type: ignore[attr-defined]


def test_only_the_third_span_is_odd() -> None:
    tables = [span(number) for number in (1, 2, 3)]
    kinds = [set(t.column("payment_type").to_pylist()) for t in tables]  # type: ignore[attr-defined]
    assert kinds[2] - kinds[0] == {"Mobile"} and kinds[0] == kinds[1]
    fares = [pc.mean(t.column("fare")).as_py() for t in tables]  # type: ignore[attr-defined]
    assert fares[1] == pytest.approx(fares[0], rel=0.05)
    assert fares[2] == pytest.approx(1.5 * fares[0], rel=0.05)


def test_only_cards_tip_and_the_label_is_not_rare() -> None:
    table = span(1)
    tips, fare = table.column("tips"), table.column("fare")  # type: ignore[attr-defined]
    large = pc.greater(tips, pc.multiply(fare, 0.2))
    assert 0.2 < pc.mean(large.cast("int8")).as_py() < 0.26
    cash = pc.equal(table.column("payment_type"), "Cash")  # type: ignore[attr-defined]
    assert pc.max(tips.filter(cash)).as_py() == 0
