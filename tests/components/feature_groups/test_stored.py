"""What is inserted counts once, as a whole, and the row created last wins."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.feature_groups.stored import Inserted, StoredGroup, read_log
from components.features import Entity, FeatureGroup

CARD = Entity("card", keys=["card_id"])
START = datetime(2024, 1, 1, tzinfo=UTC)
PROFILE = FeatureGroup("profile", CARD, "ts", {"age": int, "score": float, "word": str})
DATED = FeatureGroup("dated", CARD, "ts", {"age": int}, created="seen")


def frame(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """Of (key, day, age)."""
    columns = {"card_id": pl.String, "day": pl.Int64, "age": pl.Int64}
    made = pl.DataFrame(rows, schema=columns, orient="row")
    made = made.with_columns(ts=START + pl.duration(days="day"), score=0.5, word=pl.lit("x"))
    return made.drop("day")


def at(days: int) -> datetime:
    return START + timedelta(days=days)


def ages(group: StoredGroup, as_of: datetime | None = None) -> list[tuple[Any, ...]]:
    made = group.read(as_of)
    return made.with_columns(day=(pl.col("ts") - START).dt.total_days()).select(
        "card_id", "day", "age"
    ).rows()  # fmt: skip


def test_a_later_insert_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    group = StoredGroup(PROFILE, tmp_path)
    assert group.read().schema == group.read().clear().schema
    assert group.insert(frame(("a", 0, 1), ("a", 1, 2), ("b", 0, 3))) == Inserted(3, 3, 0)
    between = datetime.now(UTC)
    assert group.insert(frame(("a", 1, 9), ("b", 0, 3))) == Inserted(2, 1, 1)
    assert ages(group) == [("a", 0, 1), ("a", 1, 9), ("b", 0, 3)]
    assert ages(group, between) == [("a", 0, 1), ("a", 1, 2), ("b", 0, 3)]
    assert read_log(PROFILE, tmp_path).collect().height == 4


def test_what_was_repeated_is_not_written_again(tmp_path: Path) -> None:
    group = StoredGroup(PROFILE, tmp_path)
    one, other = frame(("a", 0, 1), ("a", 0, 1), ("b", 5, None)), frame(("a", 0, 2))
    assert group.insert(one) == Inserted(3, 2, 1)
    assert group.insert(one) == Inserted(3, 0, 3)
    assert group.insert(other) == Inserted(1, 1, 0)
    assert group.insert(one) == Inserted(3, 1, 2)
    assert ages(group) == [("a", 0, 1), ("b", 5, None)]
    assert len(list(group.folder.glob("part-*"))) == 3


_rows = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 2)), max_size=4)


@settings(max_examples=40, deadline=None)
@given(inserts=st.lists(_rows, max_size=5), dated=st.booleans())
def test_equals_a_dictionary(inserts: list[Any], dated: bool, tmp_path_factory: Any) -> None:
    group = StoredGroup(DATED if dated else PROFILE, tmp_path_factory.mktemp("store"))
    model: dict[Any, tuple[int, int]] = {}
    for rows in inserts:
        once = list({row[:2]: row for row in rows}.values())
        given = frame(*once)
        if dated:  # created is the age, so that an older age never wins
            seen = pl.lit(START) + pl.duration(hours=pl.col("age").cast(pl.Int64))
            given = given.select("card_id", "ts", "age", seen=seen)
        group.insert(given)
        for key, day, age in once:
            created = age + 1 if dated else 0
            if created >= model.get((key, day), (0, 0))[0]:
                model[key, day] = (created, age)
    assert ages(group) == [(*key, age) for key, (_, age) in sorted(model.items())]


@pytest.mark.parametrize("kind", ["pandas", "arrow", "lazy"])
def test_frames_of_any_kind_are_the_same_rows(tmp_path: Path, kind: str) -> None:
    given = frame(("a", 0, 1), ("b", 1, None))
    # pandas has no missing integers: the ages become floats, and are integers again in the group
    as_kind = {"pandas": given.to_pandas, "arrow": given.to_arrow, "lazy": given.lazy}
    group = StoredGroup(PROFILE, tmp_path)
    group.insert(as_kind[kind]())
    assert group.insert(given) == Inserted(2, 0, 2)
    assert ages(group) == [("a", 0, 1), ("b", 1, None)]


def test_other_types_become_the_declared_ones(tmp_path: Path) -> None:
    group = FeatureGroup("g", {"id": int}, "ts", {"seen": datetime, "f": float, "b": bool})
    rows = {"id": pa.array([1], pa.uint8()), "ts": [date(2024, 1, 1)], "seen": ["2024-01-01"]}
    stored = StoredGroup(group, tmp_path)
    stored.insert(pa.table(rows | {"f": [3], "b": pa.nulls(1)}))
    assert stored.read().rows() == [(1, START, START, 3.0, None)]


ROW = frame(("a", 0, 1))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (frame(("a", 0, 1), (None, 0, 1), (None, 1, 1)), "card_id is null in row 1, 2 of"),
        (pl.concat([ROW.with_columns(ts=None)] * 7), "ts is null in row 0, 1, 2, 3, 4 and 2 more"),
        (frame(("a", 0, 1), ("b", 0, 1), ("a", 0, 2)), "different values in row 0, 2 of"),
        (ROW.drop("age"), "the frame lacks age; expected card_id, ts, age"),
        (ROW.with_columns(more=1), "the frame has also more; expected"),
        (ROW.with_columns(age=pl.lit("1")), "column age is String, expected int"),
        (ROW.with_columns(age=1.5), "age is not int in row 0"),
        (ROW.with_columns(age=float("nan")), "age is not int in row 0"),
        (ROW.with_columns(age=pl.lit(2**63)), "age is not int in row 0"),
        (ROW.with_columns(word=3), "column word is Int32, expected str"),
        (ROW.with_columns(card_id=1.0), "column card_id is Float64, expected text or integers"),
        (ROW.with_columns(ts=pl.lit("soon")), "ts is no time in row 0"),
        (ROW.with_columns(ts=3), "ts is Int32, expected timestamps"),
        (ROW.to_dicts(), "got builtins.list, expected a polars, pandas or Arrow frame"),
        (pd.DataFrame({"card_id": ["a", 1]}), "cannot read the frame"),
    ],
)  # fmt: skip
def test_a_frame_that_does_not_fit_is_refused_whole(tmp_path: Path, given: Any, says: str) -> None:
    group = StoredGroup(PROFILE, tmp_path)
    group.insert(ROW)
    with pytest.raises(BeamfleetError, match="feature group 'profile', version 1") as error:
        group.insert(given)
    assert says in str(error.value)
    assert ages(group) == [("a", 0, 1)]


def test_another_declaration_needs_a_new_version(tmp_path: Path) -> None:
    StoredGroup(PROFILE, tmp_path).insert(ROW)
    other = FeatureGroup("profile", CARD, "ts", {"age": float}, ttl="1d")
    for use in (lambda g: g.insert(ROW.select("card_id", "ts", "age")), lambda g: g.read()):
        with pytest.raises(BeamfleetError, match=r"schema is .*stored with .*needs a new version"):
            use(StoredGroup(other, tmp_path))
    newer = StoredGroup(FeatureGroup("profile", CARD, "ts", {"age": float}, version=2), tmp_path)
    newer.insert(ROW.select("card_id", "ts", "age"))
    assert ages(newer) == [("a", 0, 1.0)]


def test_a_clock_that_was_set_back_changes_no_order(tmp_path: Path, monkeypatch: Any) -> None:
    group = StoredGroup(PROFILE, tmp_path)
    group.insert(frame(("a", 0, 1)))

    class Back(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2000, 1, 1, tzinfo=tz)

    monkeypatch.setattr("components.feature_groups.stored.datetime", Back)
    group.insert(frame(("a", 0, 2)))
    assert ages(group) == [("a", 0, 2)]


@pytest.mark.parametrize("left", [0, 3, 0.5])
def test_a_part_that_was_cut_off_is_named(left: float, tmp_path: Path) -> None:
    group = StoredGroup(PROFILE, tmp_path)
    group.insert(frame(("a", 0, 1)))
    group.insert(frame(("b", 0, 1)))
    part = group.folder / "part-00000001.parquet"
    content = part.read_bytes()
    part.write_bytes(content[: int(left if left != 0.5 else len(content) / 2)])
    for reads in (group.read, lambda: group.insert(frame(("c", 0, 1)))):
        with pytest.raises(BeamfleetError, match=r"part-00000001\.parquet was cut off"):
            reads()
    part.write_bytes(content)
    assert ages(group) == [("a", 0, 1), ("b", 0, 1)]


INSERTING = """
import sys
from pathlib import Path
from tests.components.feature_groups.test_stored import PROFILE, StoredGroup, frame
group, who = StoredGroup(PROFILE, Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
input()
for turn in range(int(sys.argv[3])):
    group.insert(frame(*((f"{who}{n}", n, turn) for n in range(50)), ("both", 0, turn)))
    print(turn, flush=True)
"""


def inserting(root: Path, who: str, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INSERTING, str(root), who, str(turns)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_processes_insert_at_once(tmp_path: Path) -> None:
    running = [inserting(tmp_path, who, 40) for who in "xy"]
    for one in running:
        start(one)
    told = [one.communicate()[0].split() for one in running]
    assert [(one.returncode, len(turns)) for one, turns in zip(running, told, strict=True)] == [
        (0, 40),
        (0, 40),
    ]
    made = {key: age for key, _, age in ages(StoredGroup(PROFILE, tmp_path))}
    assert len(made) == 101
    assert set(made.values()) == {39}
    assert len(list(StoredGroup(PROFILE, tmp_path).folder.glob("part-*"))) == 80


def test_a_process_that_is_killed_leaves_whole_inserts(tmp_path: Path) -> None:
    group = StoredGroup(PROFILE, tmp_path)
    for pause in (0.0, 0.003, 0.011):
        process = inserting(tmp_path, "x", 10_000)
        start(process)
        assert process.stdout is not None
        told = int(process.stdout.readline())
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate()
        told = max([told, *map(int, rest.split())])
        [turn] = {age for _, _, age in ages(group)}
        assert turn in (told, told + 1)
        group.insert(frame(("both", 0, 0)))
        assert not list(group.folder.glob(".*.tmp"))
        group.insert(frame(*((f"x{n}", n, turn) for n in range(50)), ("both", 0, turn)))
        assert len(ages(group)) == 51
