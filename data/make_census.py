"""Makes census rows in the form of the UCI Adult data set: same columns, same quirks.

The rows are drawn at random, nobody is behind them. What decides the income differs between
education levels, so that a model of its own pays for some levels and not for others.

    python data/make_census.py --rows 6000 --seed 1 --out data/census/census.data
    python data/make_census.py --rows 600 --seed 2 --unlabelled \
        --out data/census_unlabelled/census.data
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

Codes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
    "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week",
    "native-country", "income",
)  # fmt: skip

# In order of education-num, with their share in Adult.
EDUCATION = {
    "Preschool": 0.0016, "1st-4th": 0.0052, "5th-6th": 0.0102, "7th-8th": 0.0198, "9th": 0.0158,
    "10th": 0.0287, "11th": 0.0361, "12th": 0.0133, "HS-grad": 0.3225, "Some-college": 0.2239,
    "Assoc-voc": 0.0424, "Assoc-acdm": 0.0328, "Bachelors": 0.1645, "Masters": 0.0529,
    "Prof-school": 0.0177, "Doctorate": 0.0127,
}  # fmt: skip
UNSEEN_EDUCATION = {"Short-course": 10, "Dual-degree": 14}
"""Levels that only unlabelled rows have, with an education-num."""

WORKCLASS = {
    "Private": 0.74, "Self-emp-not-inc": 0.083, "Local-gov": 0.068, "State-gov": 0.042,
    "Self-emp-inc": 0.036, "Federal-gov": 0.03, "Without-pay": 0.001,
}  # fmt: skip
# Share among the schooled (up to 12th), the middle (up to associate) and the academics; of men.
OCCUPATION = {
    "Prof-specialty": (0.01, 0.05, 0.40, 0.6), "Exec-managerial": (0.03, 0.11, 0.27, 0.7),
    "Adm-clerical": (0.05, 0.17, 0.07, 0.3), "Sales": (0.08, 0.13, 0.12, 0.65),
    "Craft-repair": (0.20, 0.17, 0.03, 0.95), "Other-service": (0.22, 0.11, 0.02, 0.45),
    "Machine-op-inspct": (0.15, 0.07, 0.01, 0.73), "Transport-moving": (0.09, 0.06, 0.01, 0.95),
    "Handlers-cleaners": (0.10, 0.05, 0.01, 0.88), "Farming-fishing": (0.06, 0.03, 0.01, 0.94),
    "Tech-support": (0.005, 0.03, 0.03, 0.62), "Protective-serv": (0.005, 0.02, 0.02, 0.88),
}  # fmt: skip
RACE = {
    "White": 0.854, "Black": 0.096, "Asian-Pac-Islander": 0.032, "Amer-Indian-Eskimo": 0.01,
    "Other": 0.008,
}  # fmt: skip
COUNTRY = {
    "United-States": 0.913, "Mexico": 0.02, "Philippines": 0.006, "Germany": 0.005,
    "Canada": 0.005, "Puerto-Rico": 0.004, "El-Salvador": 0.004, "India": 0.004, "Cuba": 0.003,
    "England": 0.003, "Jamaica": 0.003, "South": 0.003, "China": 0.003, "Italy": 0.003,
    "Dominican-Republic": 0.002, "Vietnam": 0.002, "Guatemala": 0.002, "Japan": 0.002,
    "Poland": 0.002, "Columbia": 0.002, "Haiti": 0.002, "Outlying-US(Guam-USVI-etc)": 0.001,
    "Trinadad&Tobago": 0.001,
}  # fmt: skip
MARITAL = (
    "Married-civ-spouse", "Never-married", "Divorced", "Separated", "Widowed",
    "Married-spouse-absent",
)  # fmt: skip
RELATIONSHIP = ("Husband", "Wife", "Not-in-family", "Own-child", "Unmarried", "Other-relative")

BLOCK_ROWS = 250_000


def main() -> None:
    arguments = _parse_arguments()
    rng = np.random.default_rng(arguments.seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    shares = education_shares(arguments.education)
    with arguments.out.open("wb") as file:
        for rows in _block_sizes(arguments.rows):
            table = make_rows(rows, rng, shares, labelled=not arguments.unlabelled)
            file.write(to_adult_text(table))


def education_shares(kind: str) -> Values:
    """Returns the share of each level: as in Adult, `even`, or `skew` (HS-grad has 80%)."""
    adult = np.array(list(EDUCATION.values()))
    if kind == "even":
        return np.full(len(adult), 1 / len(adult))
    if kind == "skew":
        adult[list(EDUCATION).index("HS-grad")] = 4 * (adult.sum() - EDUCATION["HS-grad"])
    return np.asarray(adult / adult.sum())


def make_rows(
    rows: int, rng: np.random.Generator, shares: Values, labelled: bool = True
) -> pa.Table:
    """Draws rows in the columns and words of Adult; `?` stands for a missing word."""
    level = rng.choice(len(EDUCATION), rows, p=shares)
    is_man = rng.random(rows) < 0.67
    age = np.clip(17 + rng.gamma(2.3, 9.5, rows), 17 + np.maximum(level - 8, 0), 90).astype(int)
    occupation = _occupation(level, is_man, rng)
    marital = _marital_status(age, rng)
    hours = _hours(age, occupation, rng)
    gain, loss = _capital(level, rng)
    lacks_work = rng.random(rows) < 0.056  # Adult lacks the occupation where it lacks the class
    country = np.where(rng.random(rows) < 0.018, len(COUNTRY), _draw(COUNTRY, rows, rng))
    columns = {
        "age": age,
        "workclass": _words(
            [*WORKCLASS, "?"], np.where(lacks_work, len(WORKCLASS), _draw(WORKCLASS, rows, rng))
        ),
        "fnlwgt": np.clip(rng.lognormal(12.0, 0.55, rows), 12_285, 1_484_705).astype(int),
        "education": _words(list(EDUCATION), level),
        "education-num": level + 1,
        "marital-status": _words(MARITAL, marital),
        "occupation": _words([*OCCUPATION, "?"], np.where(lacks_work, len(OCCUPATION), occupation)),
        "relationship": _words(RELATIONSHIP, _relationship(age, marital, is_man, rng)),
        "race": _words(list(RACE), _draw(RACE, rows, rng)),
        "sex": _words(("Female", "Male"), is_man.astype(int)),
        "capital-gain": gain,
        "capital-loss": loss,
        "hours-per-week": hours,
        "native-country": _words([*COUNTRY, "?"], country),
    }
    if not labelled:
        return pa.table(_with_unseen_education(columns, level, rng))
    odds = income_log_odds(level, age, occupation, marital == 0, hours, gain)
    is_high = rng.random(rows) < 1 / (1 + np.exp(-odds))
    # UCI's test file ends its labels with a dot, and many people join both files.
    words = 2 * is_high + (rng.random(rows) < 0.1)
    return pa.table({**columns, "income": _words(("<=50K", "<=50K.", ">50K", ">50K."), words)})


def income_log_odds(
    level: Codes, age: Codes, occupation: Codes, is_married: Codes, hours: Codes, gain: Codes
) -> Values:
    """Log-odds of an income above 50K.

    The large levels have sharp rules that contradict each other: a tree over all rows has to find
    the level (by its number) before the rule, which one of limited depth does not. The smallest
    levels, and the doctors, hold little to learn.
    """
    desk = ("Prof-specialty", "Exec-managerial", "Adm-clerical", "Sales", "Tech-support")
    is_desk = np.isin(np.array(list(OCCUPATION))[occupation], desk)
    works_long = hours > 42
    rules = {
        "Preschool": np.full(len(age), -6.0),
        "HS-grad": np.where(~is_desk & np.where(is_married, age >= 34, works_long), 3.5, -4.6),
        "Some-college": np.where(is_desk & np.where(is_married, age < 38, ~works_long), 3.5, -4.6),
        "Assoc-voc": np.where(~is_desk, 2.9, -3.5),
        "Assoc-acdm": -1.2 + 1.2 * is_married,
        "Bachelors": np.where(np.where(is_desk, is_married, age >= 36), 2.4, -3.2),
        "Masters": np.where(works_long, -2.4, 2.9),
        "Prof-school": 0.9 + 0.5 * is_married,
        "Doctorate": 0.8 + 0.4 * is_married,
    }
    schooled = -3.0 + 1.0 * is_married
    log_odds = np.select(
        [level == number for number in range(len(EDUCATION))],
        [rules.get(name, schooled) for name in EDUCATION],
    )
    return np.asarray(log_odds + 5.0 * (gain > 9_000))


def to_adult_text(table: pa.Table) -> bytes:
    """Returns the rows as UCI writes them: no header, a comma and a space between the values."""
    words = [
        pa.field(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type)
        for f in table.schema
    ]
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with pa.BufferOutputStream() as sink:
        pa_csv.write_csv(table.cast(pa.schema(words)), sink, options)
        return bytes(sink.getvalue()).replace(b",", b", ")


def _occupation(level: Codes, is_man: Codes, rng: np.random.Generator) -> Codes:
    group = np.select([level < 8, level < 12], [0, 1], 2)
    table = np.array(list(OCCUPATION.values()))
    shares = np.empty((3, 2, len(table)))
    for schooling in range(3):
        shares[schooling, 1] = table[:, schooling] * table[:, 3] / 0.67
        shares[schooling, 0] = table[:, schooling] * (1 - table[:, 3]) / 0.33
    bounds = np.cumsum(shares / shares.sum(axis=2, keepdims=True), axis=2)
    drawn = rng.random(len(level))
    occupation = np.zeros(len(level), dtype=np.int64)
    for column in range(len(table) - 1):
        occupation += drawn > bounds[group, is_man.astype(int), column]
    return occupation


def _marital_status(age: Codes, rng: np.random.Generator) -> Codes:
    is_single = rng.random(len(age)) < np.clip(1.25 - age / 36, 0.07, 0.97)
    later = rng.choice([0, 2, 3, 5], len(age), p=[0.72, 0.20, 0.055, 0.025])
    is_widowed = rng.random(len(age)) < np.clip((age - 55) / 120, 0, 0.3)
    return np.select([is_single, is_widowed], [1, 4], later)


def _relationship(age: Codes, marital: Codes, is_man: Codes, rng: np.random.Generator) -> Codes:
    spouse = np.where(is_man, 0, 1)
    child = rng.random(len(age)) < np.clip(1.3 - age / 32, 0.02, 0.9)
    other = rng.choice([2, 4, 5], len(age), p=[0.64, 0.28, 0.08])
    return np.select([marital == 0, (marital == 1) & child], [spouse, 3], other)


def _hours(age: Codes, occupation: Codes, rng: np.random.Generator) -> Codes:
    kind = rng.random(len(age))
    spread = rng.normal(0, 9, len(age))
    part_time = 0.1 + 0.35 * (age < 23) + 0.15 * (age > 62)
    hours = np.select([kind < part_time, kind < part_time + 0.45], [24 + spread, 40], 46 + spread)
    return np.clip(hours, 1, 99).astype(int)


def _capital(level: Codes, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Most people have neither; nobody has both."""
    kind = rng.random(len(level))
    has_gain = kind < np.where(level >= 12, 0.10, 0.05)
    has_loss = kind > 0.953
    gain = np.minimum(rng.lognormal(8.6, 0.95, len(level)), 99_999)
    loss = np.clip(rng.normal(1_875, 380, len(level)), 155, 4_356)
    return (has_gain * gain).astype(int), (has_loss * loss).astype(int)


def _with_unseen_education(
    columns: Mapping[str, object], level: Codes, rng: np.random.Generator
) -> dict[str, object]:
    unseen = rng.random(len(level)) < 0.02
    choice = rng.integers(0, len(UNSEEN_EDUCATION), len(level))
    codes = np.where(unseen, len(EDUCATION) + choice, level)
    numbers = np.array([*range(1, len(EDUCATION) + 1), *UNSEEN_EDUCATION.values()])
    names = [*EDUCATION, *UNSEEN_EDUCATION]
    return {**columns, "education": _words(names, codes), "education-num": numbers[codes]}


def _draw(shares: Mapping[str, float], rows: int, rng: np.random.Generator) -> Codes:
    weights = np.array(list(shares.values()))
    return rng.choice(len(weights), rows, p=weights / weights.sum())


def _words(names: Sequence[str], codes: Codes) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), list(names))


def _block_sizes(rows: int) -> Iterator[int]:
    for start in range(0, rows, BLOCK_ROWS):
        yield min(BLOCK_ROWS, rows - start)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=6_000, help="rows to draw (default 6000)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same rows (default 1)")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument(
        "--education",
        choices=("adult", "even", "skew"),
        default="adult",
        help="share of the levels: as in Adult, all alike, or one with 80%% (default adult)",
    )
    parser.add_argument(
        "--unlabelled",
        action="store_true",
        help="leave the income out and use some education levels that labelled rows do not have",
    )
    arguments = parser.parse_args()
    if arguments.rows < 1:
        parser.error(f"--rows must be at least 1, got {arguments.rows}")
    return arguments


if __name__ == "__main__":
    main()
