from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, flatten_columns, read_batches

VALUES = st.lists(st.none() | st.lists(st.integers(0, 9), max_size=1))


@given(VALUES, st.integers(0, 3))
def test_flatten_keeps_each_value_in_its_row(rows: list[list[int] | None], start: int) -> None:
    batch = pa.record_batch({"a": pa.array(rows, pa.list_(pa.int64()))}).slice(start)
    expected = [row[0] if row else None for row in rows[start:]]
    assert flatten_columns(batch).column(0).to_pylist() == expected


def test_plain_columns_stay_and_several_values_are_an_error() -> None:
    plain = pa.record_batch({"a": [1, None]})
    assert flatten_columns(plain).equals(plain)
    with pytest.raises(BeamfleetError, match="column 'a' has 2 values"):
        flatten_columns(pa.record_batch({"a": [[1, 2]]}))


def test_reads_files_in_name_order_and_chosen_columns(tmp_path: Path) -> None:
    folder = tmp_path / "Split-train"
    folder.mkdir()
    for name, value in (("b", 2), ("a", 1)):
        pq.write_table(pa.table({"x": [[value]], "y": [["w"]]}), folder / f"{name}.parquet")
    batches = list(read_batches(ExamplesSplit(str(tmp_path), "train"), columns=["x"]))
    assert pa.Table.from_batches(batches).to_pydict() == {"x": [1, 2]}


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="no split 'eval'"):
        list(read_batches(ExamplesSplit(str(tmp_path), "eval")))
    with pytest.raises(BeamfleetError, match="ReadExamples only"):
        list(read_batches(ExamplesSplit(str(tmp_path), "eval", "FORMAT_TF_EXAMPLE")))
