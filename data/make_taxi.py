"""Makes taxi trips in the columns of the public Chicago Taxi sample, in spans of a month.

Trips are drawn at random, nobody sat in the cars. A tip of more than a fifth of the fare depends on
how the passenger pays, on the hour, on the length of the trip and on the company. The sample's
quirks are there: numbers written as `12` and as `12.0`, missing places and companies, trips of no
length.

    python data/make_taxi.py --rows 4000 --seed 1 --spans 3 --out data/taxi
    python data/make_taxi.py --rows 600 --seed 2 --spans 1 --unlabelled --out data/taxi_unlabelled

With `--spans 3` the third span is not like the others: a payment type appears that the first two
do not have, and fares have risen by half.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

Values = npt.NDArray[np.float64]
Words = npt.NDArray[np.str_]

COLUMNS = (
    "pickup_community_area", "fare", "trip_start_month", "trip_start_hour", "trip_start_day",
    "trip_start_timestamp", "pickup_latitude", "pickup_longitude", "dropoff_latitude",
    "dropoff_longitude", "trip_miles", "pickup_census_tract", "dropoff_census_tract",
    "payment_type", "company", "trip_seconds", "dropoff_community_area", "tips",
)  # fmt: skip

# Shares as in the sample.
PAYMENT = {
    "Cash": 0.640,
    "Credit Card": 0.345,
    "No Charge": 0.008,
    "Unknown": 0.005,
    "Pcard": 0.002,
}
NEW_PAYMENT = "Mobile"
"""Only the last of three spans has it, instead of a fifth of what was paid by card."""
# Company -> share of the trips and how it changes the log-odds of a large tip.
COMPANY = {
    "": (0.34, 0.0), "Taxi Affiliation Services": (0.345, 0.0),
    "Dispatch Taxi Affiliation": (0.110, 0.6), "Blue Ribbon Taxi Association Inc.": (0.073, -0.7),
    "Choice Taxi Association": (0.058, 0.0), "Northwest Management LLC": (0.037, 0.9),
    "KOAM Taxi Association": (0.017, -1.1), "Top Cab Affiliation": (0.010, 0.0),
    "Chicago Medallion Leasing INC": (0.006, 0.0), "4197 - 41842 Royal Star": (0.004, 0.0),
}  # fmt: skip
# Community area -> share, latitude, longitude (degrees) of its middle.
AREA = {
    8: (0.36, 41.8996, -87.6333), 32: (0.23, 41.8786, -87.6251), 28: (0.11, 41.8741, -87.6635),
    6: (0.10, 41.9442, -87.6560), 7: (0.07, 41.9227, -87.6495), 76: (0.05, 41.9796, -87.9030),
    24: (0.03, 41.9012, -87.6764), 3: (0.03, 41.9658, -87.6559), 56: (0.02, 41.7926, -87.7697),
}  # fmt: skip
# Of the trips by hour of the day, in percent or so.
HOUR_SHARE = (
    5,
    4,
    3,
    2,
    1.5,
    1.5,
    2,
    3.5,
    5,
    5,
    4.5,
    4.5,
    5,
    5,
    5,
    5,
    5,
    5.5,
    6.5,
    7,
    6.5,
    6,
    6,
    5.5,
)
FIRST_DAY = 1_420_070_400  # 2015-01-01, seconds since the epoch
DAYS = 30


def main() -> None:
    arguments = _parse_arguments()
    for span in range(1, arguments.spans + 1):
        rng = np.random.default_rng([arguments.seed, span])
        table = make_trips(arguments.rows, rng, span, is_odd=span == 3)
        if arguments.unlabelled:
            table = table.drop_columns(["tips"])
        folder = arguments.out / f"span-{span}"
        folder.mkdir(parents=True, exist_ok=True)
        pa_csv.write_csv(table, folder / "data.csv", pa_csv.WriteOptions(quoting_style="none"))


def make_trips(rows: int, rng: np.random.Generator, span: int, is_odd: bool = False) -> pa.Table:
    """Draws the trips of one month.

    Args:
      rows: How many.
      rng: Source of chance.
      span: 1 is January 2015.
      is_odd: Fares have risen by half, and NEW_PAYMENT appears.
    """
    hour = rng.choice(24, rows, p=np.array(HOUR_SHARE) / sum(HOUR_SHARE))
    day = (span - 1) * DAYS + rng.integers(0, DAYS, rows)
    start = FIRST_DAY + 86_400 * day + 3_600 * hour + 900 * rng.integers(0, 4, rows)
    pickup, dropoff = (rng.choice(len(AREA), rows, p=_shares(AREA)) for _ in range(2))
    miles = _miles(pickup, dropoff, rng)
    seconds = np.round(np.clip(miles * rng.lognormal(5.3, 0.35, rows) + 180, 0, 7_200) / 60) * 60
    fare = np.round((3.25 + 2.0 * miles + seconds / 180) * rng.lognormal(0, 0.08, rows) * 20) / 20
    payment = rng.choice(list(PAYMENT), rows, p=np.array(list(PAYMENT.values())))
    if is_odd:
        fare = np.round(fare * 1.5, 2)
        becomes = (payment == "Credit Card") & (rng.random(rows) < 0.2)
        payment = np.where(becomes, NEW_PAYMENT, payment)
    company = rng.choice(len(COMPANY), rows, p=_shares(COMPANY))
    pays_by_card = np.isin(payment, ("Credit Card", NEW_PAYMENT))
    odds = tip_log_odds(hour, miles, _second(COMPANY)[company])
    tips_much = pays_by_card & (rng.random(rows) < 1 / (1 + np.exp(-odds)))
    share = np.where(tips_much, rng.uniform(0.21, 0.35, rows), rng.uniform(0.0, 0.19, rows))
    tips = np.where(pays_by_card, np.round(share * fare, 2), 0.0)
    is_empty = rng.random(rows) < 0.02  # the meter ran and nobody drove
    miles, seconds = np.where(is_empty, 0, miles), np.where(is_empty, 0, seconds)
    lacks_dropoff = rng.random(rows) < 0.033
    return pa.table(
        {
            "pickup_community_area": _places(pickup, None),
            "fare": _numbers(fare),
            "trip_start_month": pa.array((day // DAYS % 12) + 1),
            "trip_start_hour": pa.array(hour),
            "trip_start_day": pa.array((day + 4) % 7 + 1),  # 1 is Sunday; the first was a Thursday
            "trip_start_timestamp": pa.array(start),
            "pickup_latitude": _degrees(pickup, 1, None),
            "pickup_longitude": _degrees(pickup, 2, None),
            "dropoff_latitude": _degrees(dropoff, 1, lacks_dropoff),
            "dropoff_longitude": _degrees(dropoff, 2, lacks_dropoff),
            "trip_miles": _numbers(np.round(miles, 1)),
            "pickup_census_tract": pa.array([""] * rows),
            "dropoff_census_tract": _tracts(dropoff, lacks_dropoff | (rng.random(rows) < 0.26)),
            "payment_type": pa.array(payment),
            "company": pa.array(np.array(list(COMPANY))[company]),
            "trip_seconds": pa.array(seconds.astype(int)),
            "dropoff_community_area": _places(dropoff, lacks_dropoff),
            "tips": _numbers(tips),
        }
    ).select(list(COLUMNS))


def tip_log_odds(hour: npt.NDArray[np.int64], miles: Values, of_company: Values) -> Values:
    """Log-odds of a tip above a fifth of the fare, for a passenger who pays by card.

    Short trips and late ones are tipped well; those to the airports are not, unless by night.
    """
    is_night = (hour >= 21) | (hour < 3)
    of_length = np.where(miles < 2, 1.2, np.where(miles < 5, 0.4, -1.6))
    return np.asarray(0.3 + of_length + of_company + np.where(is_night, 1.5, 0.0))


def _miles(
    pickup: npt.NDArray[np.int64], dropoff: npt.NDArray[np.int64], rng: np.random.Generator
) -> Values:
    middle = np.array([place[1:] for place in AREA.values()])
    north, east = ((middle[pickup] - middle[dropoff]) * (69.0, 51.5)).T
    return np.asarray((np.hypot(north, east) * 1.25 + 0.4) * rng.lognormal(0, 0.3, len(pickup)))


def _shares(table: dict[int, tuple[float, ...]] | dict[str, tuple[float, float]]) -> Values:
    shares = np.array([value[0] for value in table.values()])
    return np.asarray(shares / shares.sum())


def _second(table: dict[str, tuple[float, float]]) -> Values:
    return np.array([value[1] for value in table.values()])


def _numbers(values: Values) -> pa.Array:
    """The sample writes whole numbers now as `12`, now as `12.0`: the type is that of a float."""
    texts = np.array([f"{value:.10g}" for value in values], object)
    has_point = np.arange(len(texts)) % 3 > 0
    whole = np.array(["." not in text for text in texts])
    return pa.array(np.where(whole & has_point, texts + ".0", texts), pa.string())


def _places(area: npt.NDArray[np.int64], is_missing: npt.NDArray[np.bool_] | None) -> pa.Array:
    return pa.array(np.array(list(AREA))[area], mask=is_missing)


def _degrees(
    area: npt.NDArray[np.int64], column: int, is_missing: npt.NDArray[np.bool_] | None
) -> pa.Array:
    return pa.array(np.array([place[column] for place in AREA.values()])[area], mask=is_missing)


def _tracts(area: npt.NDArray[np.int64], is_missing: npt.NDArray[np.bool_]) -> pa.Array:
    numbers = np.array([17_031_000_000 + 10_000 * number + 100 for number in AREA])
    return pa.array(numbers[area], mask=is_missing)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Makes taxi trips in the columns of the Chicago Taxi sample.",
        epilog="example: python data/make_taxi.py --rows 4000 --seed 1 --spans 3 --out data/taxi",
    )
    parser.add_argument("--rows", type=int, default=4_000, help="trips of each span")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spans", type=int, default=3, help="months; the third one is odd")
    parser.add_argument("--unlabelled", action="store_true", help="leaves out the tips")
    parser.add_argument("--out", type=Path, required=True, help="folder of the folders span-N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
