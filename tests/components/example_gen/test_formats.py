"""Parquet and TFRecord in, tf.Example out, and clean functions."""

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import BeamfleetError
from components.example_gen.files import find_files
from components.example_gen.ingest import ingest
from components.example_gen.source import (
    CsvSource,
    IngestConfig,
    ParquetSource,
    TFRecordSource,
)
from tests.components.example_gen.reading import (
    ALL,
    read_rejects,
    read_rows,
    read_table,
    run_ingest,
)


def ingest_parquet(folder: Path, *tables: pa.Table, **options: object) -> pa.Table:
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")
    source = ParquetSource((str(folder),), **options)  # type: ignore[arg-type]
    run_ingest(IngestConfig(source, ALL, max_rejected_share=0.5), folder / "out")
    return read_table(folder / "out", "all")


def test_parquet_types_become_the_three(tmp_path: Path) -> None:
    stored = pa.table(
        {
            "small": pa.array([1, None], pa.int8()),
            "flag": [True, False],
            "single": pa.array([0.5, None], pa.float32()),
            "word": pa.array(["a", None]).dictionary_encode(),
            "large": pa.array(["b", "c"], pa.large_string()),
            "list": pa.array([["x"], None]),
            "nothing": pa.nulls(2),
        }
    )
    table = ingest_parquet(tmp_path, stored)
    kinds = [pa.int64(), pa.int64(), pa.float64(), *[pa.string()] * 4]
    assert table.schema.types == kinds
    assert table.to_pylist()[0] == {
        "small": 1, "flag": 1, "single": 0.5, "word": "a", "large": "b", "list": "x",
        "nothing": None,
    }  # fmt: skip


def test_parquet_files_of_different_types_are_joined(tmp_path: Path) -> None:
    table = ingest_parquet(tmp_path, pa.table({"a": [1]}), pa.table({"a": [0.5]}))
    assert table["a"].to_pylist() == [1.0, 0.5]


def test_parquet_rejects_name_the_row(tmp_path: Path) -> None:
    stored = pa.table({"a": ["1", "x", "3", "4"], "b": [1.0, 2.0, 2.5, 4.0]})
    table = ingest_parquet(tmp_path, stored, types=(("a", "int64"), ("b", "int64")))
    assert table.to_pylist() == [{"a": 1, "b": 1}, {"a": 4, "b": 4}]
    rejects = read_rejects(tmp_path / "out")
    assert [(r["line"], r["reason"]) for r in rejects] == [
        (2, "column 'a': 'x' is not of type int64"),
        (3, "column 'b': '2.5' is not of type int64"),
    ]


def test_parquet_with_dates_other_columns_or_several_values(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"column 'day' has type date32"):
        ingest_parquet(tmp_path, pa.table({"day": [datetime.date(2024, 1, 1)]}))
    with pytest.raises(BeamfleetError, match="has columns"):
        ingest_parquet(tmp_path, pa.table({"a": [1]}), pa.table({"b": [1]}))
    with pytest.raises(BeamfleetError, match=r"0\.parquet: column 'a' has 2 values"):
        ingest_parquet(tmp_path, pa.table({"a": [[1, 2]]}), pa.table({"a": [[1]]}))


BEYOND_DOUBLE = 2**53 + 1


def test_decimals_keep_their_digits(tmp_path: Path) -> None:
    columns = {
        "key": pa.array([Decimal(BEYOND_DOUBLE), None], pa.decimal128(38, 0)),
        "huge": pa.array([Decimal(2**64), Decimal(1)], pa.decimal128(38, 0)),
        "price": pa.array([Decimal("0.10"), None], pa.decimal128(20, 2)),
        "long": pa.array([Decimal("90071992547409.931"), None], pa.decimal128(20, 3)),
        "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
    }
    assert ingest_parquet(tmp_path, pa.table(columns)).to_pylist()[0] == {
        "key": BEYOND_DOUBLE, "huge": str(2**64), "price": 0.1, "long": "90071992547409.931",
        "unsigned": str(2**64 - 1),
    }  # fmt: skip


def test_decimals_that_the_user_calls_doubles_may_lose_digits(tmp_path: Path) -> None:
    stored = pa.table({"a": pa.array([Decimal("90071992547409.931")], pa.decimal128(20, 3))})
    table = ingest_parquet(tmp_path, stored, types=(("a", "double"),))
    assert table["a"].to_pylist() == [90071992547409.931]


@pytest.mark.parametrize(
    ("late", "shown"),
    [
        (pa.array([BEYOND_DOUBLE]), "int64"),
        (pa.array([Decimal(BEYOND_DOUBLE)], pa.decimal128(38, 0)), "decimal128"),
    ],
)
def test_whole_numbers_beyond_double_beside_doubles(
    tmp_path: Path, late: pa.Array, shown: str
) -> None:
    message = rf"1\.parquet line 1: column 'a': '{BEYOND_DOUBLE}' is not of type double.*{shown}"
    with pytest.raises(BeamfleetError, match=message + ".*give the column a type"):
        ingest_parquet(tmp_path, pa.table({"a": [0.5]}), pa.table({"a": late}))


def test_parquet_infinite_numbers_are_rejected_and_nan_is_not(tmp_path: Path) -> None:
    stored = pa.table({"a": [0.5, float("inf"), float("nan"), None]})
    table = ingest_parquet(tmp_path, stored)
    assert [str(value) for value in table["a"].to_pylist()] == ["0.5", "nan", "None"]
    [reject] = read_rejects(tmp_path / "out")
    assert (reject["line"], reject["reason"]) == (2, "column 'a': inf is not a finite number")


def test_parquet_with_two_columns_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"0\.parquet has several columns named \['a'\]"):
        ingest_parquet(tmp_path, pa.table([[1], [2]], names=["a", "a"]))


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(BeamfleetError, match=r"a\.parquet cannot be read as Parquet"):
        run_ingest(IngestConfig(ParquetSource((str(tmp_path),)), ALL), tmp_path / "out")


def test_tf_example_out_and_in_again(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b,c,d\n1,0.5,ä,?\n2,,,?\n")
    first = IngestConfig(CsvSource((str(tmp_path / "rows.csv"),)), ALL, payload="tf_example")
    ingest(first, find_files(first), str(tmp_path / "examples"))
    records = TFRecordSource((str(tmp_path / "examples/Split-all/*"),))
    run_ingest(IngestConfig(records, ALL), tmp_path / "out")
    assert [dict(sorted(row.items())) for row in read_rows(tmp_path / "out", "all")] == [
        {"a": 1, "b": 0.5, "c": "ä", "d": None},
        {"a": 2, "b": None, "c": None, "d": None},
    ]


def test_a_record_that_is_no_example_is_rejected(tmp_path: Path) -> None:
    import tensorflow as tf

    good = tf.train.Example()
    good.features.feature["a"].int64_list.value.append(7)
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for record in (good.SerializeToString(), b"\xff nonsense", good.SerializeToString()):
            writer.write(record)
    config = IngestConfig(TFRecordSource((str(tmp_path),)), ALL, max_rejected_share=0.5)
    run_ingest(config, tmp_path / "out")
    assert read_rows(tmp_path / "out", "all") == [{"a": 7}, {"a": 7}]
    [reject] = read_rejects(tmp_path / "out")
    assert (reject["line"], reject["reason"]) == (2, "record is no tf.Example")


def test_a_damaged_tfrecord_file(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(b"x" * 100)
    with pytest.raises(BeamfleetError, match=r"a\.tfrecord cannot be read as TFRecord"):
        run_ingest(IngestConfig(TFRecordSource((str(tmp_path),)), ALL), tmp_path / "out")


def clean(tmp_path: Path, function: str, rows: int = 3) -> None:
    body = "".join(f"{i},w\n" for i in range(rows))
    (tmp_path / "rows.csv").write_text(f"number,word\n{body}")
    dotted = f"tests.components.example_gen.clean.{function}"
    run_ingest(IngestConfig(CsvSource((str(tmp_path),)), ALL, clean=dotted), tmp_path / "out")


def test_clean_function(tmp_path: Path) -> None:
    clean(tmp_path, "upper_words")
    assert {row["word"] for row in read_rows(tmp_path / "out", "all")} == {"W"}


def test_a_clean_function_that_loses_rows(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="2 rows for a table of 3 rows"):
        clean(tmp_path, "lose_a_row")


def test_a_clean_function_that_changes_its_types(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="cast them to one type"):
        clean(tmp_path, "change_its_mind", rows=1_200_000)


def test_examples_without_any_feature(tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(b"")
    with pytest.raises(BeamfleetError, match="no columns"):
        run_ingest(IngestConfig(TFRecordSource((str(tmp_path),)), ALL), tmp_path / "out")


SCHEMA = {"age": "double", "zip": "string", "label": "string"}


def test_a_schema_types_what_the_configuration_leaves_open(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("age,zip,other\n1,2.50,x\n?,?,y\nold,3,z\n")
    config = IngestConfig(CsvSource((str(path),)), ALL, max_rejected_share=0.5)
    counts = ingest(config, find_files(config), str(tmp_path / "out"), SCHEMA)
    assert read_table(tmp_path / "out", "all").to_pylist() == [
        {"age": 1.0, "zip": "2.50", "other": "x"},
        {"age": None, "zip": None, "other": "y"},
    ]
    assert counts.rows_rejected == 1
    [reject] = read_rejects(tmp_path / "out")
    assert (reject["line"], reject["reason"]) == (4, "column 'age': 'old' is not of type double")


def test_a_schema_types_what_cleaning_leaves(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("age,zip\n1 years,2\nmany years,3\n")
    clean = "tests.components.example_gen.clean.without_years"
    config = IngestConfig(CsvSource((str(path),)), ALL, clean=clean, max_rejected_share=0.5)
    counts = ingest(config, find_files(config), str(tmp_path / "out"), SCHEMA)
    assert read_table(tmp_path / "out", "all").to_pylist() == [{"age": 1.0, "zip": "2"}]
    assert (counts.rows_in, counts.rows_rejected) == (2, 1)
