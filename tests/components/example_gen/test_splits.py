from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.example_gen.source import CsvSource, HashSplit, IngestConfig, TimeSplit
from components.example_gen.splits import hash_rows, split_rows
from tests.components.example_gen.reading import read_rejects, read_rows, run_ingest

ROWS = st.lists(
    st.tuples(
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.none() | st.integers(-(2**53), 2**53),
        st.none() | st.floats(allow_nan=False),
    ),
    min_size=1,
    max_size=30,
)


def as_table(rows: list[tuple[object, object, object]]) -> pa.Table:
    schema = pa.schema([("word", pa.string()), ("whole", pa.int64()), ("number", pa.float64())])
    return pa.Table.from_pylist(
        [dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema
    )


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 9))
def test_a_rows_hash_depends_on_its_values_only(
    rows: list[tuple[object, object, object]], seed: int
) -> None:
    table = as_table(rows)
    hashes = hash_rows(table)
    order = np.random.default_rng(seed).permutation(len(rows))
    assert (hash_rows(table.take(order)) == hashes[order]).all()
    assert (hash_rows(table.select(["number", "word", "whole"])) == hashes).all()
    encoded = table.set_column(0, "word", table["word"].combine_chunks().dictionary_encode())
    assert (hash_rows(encoded) == hashes).all()
    widened = table.set_column(1, "whole", table["whole"].cast(pa.float64()))
    assert (hash_rows(widened) == hashes).all()


@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_each_row_is_in_one_split(rows: list[tuple[object, object, object]]) -> None:
    table = as_table(rows)
    masks = split_rows(table, HashSplit((("a", 1), ("b", 2), ("c", 3))))
    assert (np.sum([mask.to_numpy(False) for mask in masks.values()], axis=0) == 1).all()


def test_the_hash_is_the_same_in_every_release() -> None:
    table = as_table([("a", 1, 0.5), (None, None, None)])
    assert hash_rows(table).tolist() == [HASH_OF_VALUES, HASH_OF_NULLS]


HASH_OF_VALUES, HASH_OF_NULLS = 6898388169043070072, 15151276930507831434


def test_shares_are_those_of_the_weights() -> None:
    table = pa.table({"id": np.arange(90_000)})
    masks = split_rows(table, HashSplit())
    assert abs(int(np.count_nonzero(masks["train"])) - 60_000) < 600


def test_rows_with_one_key_stay_together() -> None:
    table = pa.table({"key": ["a", "b", "c", "d"] * 50, "id": np.arange(200)})
    masks = split_rows(table, HashSplit(columns=("key",)))
    in_train = set(table.filter(masks["train"])["key"].to_pylist())
    assert in_train.isdisjoint(table.filter(masks["eval"])["key"].to_pylist())


def test_a_split_by_a_missing_column() -> None:
    with pytest.raises(BeamfleetError, match="needs column"):
        split_rows(pa.table({"a": [1]}), HashSplit(columns=("b",)))


def test_files_in_another_order_give_the_same_splits(tmp_path: Path) -> None:
    rows = [f"{i},{i * 7}\n" for i in range(500)]
    found = []
    for name, ordered in (("one", rows), ("other", rows[::-1])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "1.csv").write_text("a,b\n" + "".join(ordered[:123]))
        (folder / "2.csv").write_text("a,b\n" + "".join(ordered[123:]))
        run_ingest(IngestConfig(CsvSource((str(folder),))), folder / "out")
        found.append({row["a"] for row in read_rows(folder / "out", "train")})
    assert found[0] == found[1]


def test_time_split_counts_its_gap(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("time\n" + "".join(f"{i}\n" for i in range(10)) + "?\n")
    config = IngestConfig(
        CsvSource((str(tmp_path),)), TimeSplit("time", eval_from=7, gap=2), max_rejected_share=0.1
    )
    counts = run_ingest(config, tmp_path / "out")
    assert [row["time"] for row in read_rows(tmp_path / "out", "train")] == [0, 1, 2, 3, 4]
    assert [row["time"] for row in read_rows(tmp_path / "out", "eval")] == [7, 8, 9]
    assert (counts.rows_in, counts.rows_gap, counts.rows_rejected) == (11, 2, 1)
    [reject] = read_rejects(tmp_path / "out")
    assert (reject["line"], reject["reason"]) == (12, "the time is missing or unreadable")


def test_time_split_reads_iso_text() -> None:
    words = ["2024-01-31T23:59:59", "2024-02-01", "2024-02-01T01:00:00+02:00", "soon"]
    split = TimeSplit("time", eval_from="2024-02-01", gap=60)
    masks = split_rows(pa.table({"time": words}), split)
    assert {name: mask.to_pylist() for name, mask in masks.items()} == {
        "train": [False, False, True, False],
        "eval": [False, True, False, False],
        "gap": [True, False, False, False],
        "no time": [False, False, False, True],
    }


def test_time_split_needs_the_form_of_the_column() -> None:
    with pytest.raises(BeamfleetError, match="holds numbers"):
        split_rows(pa.table({"time": [1, 2]}), TimeSplit("time", eval_from="2024-02-01"))


def test_time_split_compares_nanoseconds_exactly() -> None:
    start = 1_700_000_000_123_456_789
    times = pa.array([start - 3, start - 2, start - 1, start, None])
    masks = split_rows(pa.table({"time": times}), TimeSplit("time", eval_from=start, gap=2))
    assert {name: mask.to_pylist() for name, mask in masks.items()} == {
        "train": [True, False, False, False, False],
        "eval": [False, False, False, True, False],
        "gap": [False, True, True, False, False],
        "no time": [False, False, False, False, True],
    }
