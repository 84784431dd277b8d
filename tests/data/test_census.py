"""The committed rows are what the script makes, and look like Adult."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data"
SAMPLE = DATA / "census" / "census.data"
UNLABELLED = DATA / "census_unlabelled" / "census.data"


def make(out: Path, *options: str) -> list[list[str]]:
    subprocess.run([sys.executable, DATA / "make_census.py", "--out", out, *options], check=True)
    return read(out)


def read(path: Path) -> list[list[str]]:
    return [line.split(", ") for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("committed", "options"),
    [(SAMPLE, ["--seed", "1"]), (UNLABELLED, ["--rows", "600", "--seed", "2", "--unlabelled"])],
)
def test_the_script_makes_the_committed_rows(
    committed: Path, options: list[str], tmp_path: Path
) -> None:
    make(tmp_path / "rows", *options)
    assert (tmp_path / "rows").read_bytes() == committed.read_bytes()


def test_the_sample_has_adults_columns_and_quirks() -> None:
    rows = read(SAMPLE)
    assert len(rows) == 6_000
    assert {len(row) for row in rows} == {15}
    assert {row[14] for row in rows} == {"<=50K", "<=50K.", ">50K", ">50K."}
    assert len({row[3] for row in rows}) == 16
    assert len({(row[3], row[4]) for row in rows}) == 16
    assert sum("?" in row for row in rows) > 300
    assert all((row[1] == "?") == (row[6] == "?") for row in rows)
    assert all(row[9] == "Male" for row in rows if row[7] == "Husband")


def test_unlabelled_rows_have_levels_that_training_lacks() -> None:
    rows = read(UNLABELLED)
    assert {len(row) for row in rows} == {14}
    unseen = {row[3] for row in rows} - {row[3] for row in read(SAMPLE)}
    assert unseen == {"Short-course", "Dual-degree"}


def test_skew_gives_one_level_most_rows(tmp_path: Path) -> None:
    rows = make(tmp_path / "rows", "--rows", "2000", "--education", "skew")
    level, count = Counter(row[3] for row in rows).most_common(1)[0]
    assert level == "HS-grad"
    assert 0.75 < count / len(rows) < 0.85


def test_no_rows_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, DATA / "make_census.py", "--rows", "0", "--out", tmp_path / "x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--rows must be at least 1" in done.stderr
