import csv
import gzip
import io
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.example_gen import csv_blocks
from components.example_gen.csv_blocks import Quoting, read_blocks
from components.example_gen.files import find_files
from components.example_gen.ingest import ingest
from components.example_gen.source import CsvSource, GivenSplit, IngestConfig
from tests.components.example_gen.reading import (
    ALL,
    ingest_csv,
    read_rejects,
    read_rows,
    read_table,
    run_ingest,
)


def test_adult_quirks(tmp_path: Path) -> None:
    rows = ingest_csv(
        tmp_path, "39, State-gov, <=50K\n50,  ?, >50K.\n\n", columns=("age", "workclass", "income")
    )
    assert rows == [
        {"age": 39, "workclass": "State-gov", "income": "<=50K"},
        {"age": 50, "workclass": None, "income": ">50K."},
    ]


def test_missing_is_a_null_list_in_the_artifact(tmp_path: Path) -> None:
    ingest_csv(tmp_path, "a,b\n1,x\n2,?\n")
    [file] = (tmp_path / "out" / "Split-all").iterdir()
    assert pq.read_table(file).to_pydict() == {"a": [[1], [2]], "b": [["x"], None]}


def test_quotes_hold_commas_line_breaks_and_spaces(tmp_path: Path) -> None:
    text = 'a,b\n"x, y", "two\nlines"\n" kept ","say ""hi"""\n5" pipe,it\'s\n'
    assert ingest_csv(tmp_path, text) == [
        {"a": "x, y", "b": "two\nlines"},
        {"a": " kept ", "b": 'say "hi"'},
        {"a": '5" pipe', "b": "it's"},
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_byte_order_mark_and_blank_lines(tmp_path: Path, line_end: str) -> None:
    lines = ["", "a,b", "", "1,ä", "", "2,b", ""]
    rows = ingest_csv(tmp_path, b"\xef\xbb\xbf" + line_end.join(lines).encode())
    assert rows == [{"a": 1, "b": "ä"}, {"a": 2, "b": "b"}]


def test_gzip_is_recognised_by_content(tmp_path: Path) -> None:
    assert ingest_csv(tmp_path, gzip.compress(b"a\n1\n2\n")) == [{"a": 1}, {"a": 2}]


def test_a_cut_gzip_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"rows\.csv cannot be read"):
        ingest_csv(tmp_path, gzip.compress(b"a\n" + b"1\n" * 100_000)[:-20])


def test_utf_16_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="UTF-16"):
        ingest_csv(tmp_path, "a,b\n1,2\n".encode("utf-16"))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_byte_order_mark_is_an_error(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(BeamfleetError, match="UTF-16"):
        ingest_csv(tmp_path, "a,b\n1,2\n".encode(encoding))


def test_a_header_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"header of .*rows\.csv is not UTF-8.*iconv"):
        ingest_csv(tmp_path, b"k,caf\xe9\n1,2\n")


@pytest.mark.parametrize("word", ["inf", "-Infinity", "1e999"])
def test_infinite_numbers_are_rejected(tmp_path: Path, word: str) -> None:
    rows = ingest_csv(tmp_path, f"a,b\n0.5,x\n{word},y\n1.5,z\n", max_rejected_share=0.5)
    assert rows == [{"a": 0.5, "b": "x"}, {"a": 1.5, "b": "z"}]
    [reject] = read_rejects(tmp_path / "out")
    assert (reject["line"], reject["text"]) == (3, f"{word},y")
    assert reject["reason"] == f"column 'a': {float(word)} is not a finite number"


@pytest.mark.parametrize("quoted", ["", '"q "'])
def test_spaces_at_the_end_are_no_part_of_a_value(tmp_path: Path, quoted: str) -> None:
    text = f"word , number,rest  \na ,1 ,{quoted}\n a , ? ,{quoted}  \n? ,2,{quoted}\n"
    rest = quoted.strip('"') or None
    assert ingest_csv(tmp_path, text) == [
        {"word": "a", "number": 1, "rest": rest},
        {"word": "a", "number": None, "rest": rest},
        {"word": None, "number": 2, "rest": rest},
    ]


@pytest.mark.parametrize("quoted", ["", '"q"'])
def test_spaces_and_missing_values_with_and_without_quotes_elsewhere(
    tmp_path: Path, quoted: str
) -> None:
    text = f"word, number,rest\n x,  1,{quoted}\n  ?, ?,{quoted}\n   \n  , ,{quoted}\n"
    rows = ingest_csv(tmp_path, text)
    found = [(row["word"], row["number"]) for row in rows]
    assert found == [("x", 1), (None, None), (None, None)]


def test_another_delimiter(tmp_path: Path) -> None:
    assert ingest_csv(tmp_path, "a;b\n1,5;x\n", delimiter=";") == [{"a": "1,5", "b": "x"}]


def test_null_values_count_as_missing_in_quotes_and_numbers_too(tmp_path: Path) -> None:
    rows = ingest_csv(tmp_path, 'a,b\nNA,"NA"\n1,x\n', null_values=("NA",))
    assert rows == [{"a": None, "b": None}, {"a": 1, "b": "x"}]


def test_an_all_null_column_is_words(tmp_path: Path) -> None:
    ingest_csv(tmp_path, "a,b\n1,?\n2,\n")
    table = read_table(tmp_path / "out", "all")
    assert table.schema.field("b").type == pa.string()
    assert table["b"].to_pylist() == [None, None]


def test_rejects_name_file_line_and_reason(tmp_path: Path) -> None:
    text = 'a,b\n1,x\n\n2,"two\nlines"\n3\n4,y,z\nfive,"a\nb"\n6,w\n'
    rows = ingest_csv(tmp_path, text, types=(("a", "int64"),), max_rejected_share=0.9)
    assert [row["a"] for row in rows] == [1, 2, 6]
    path = str(tmp_path / "rows.csv")
    assert read_rejects(tmp_path / "out") == [
        {"file": path, "line": 6, "reason": "2 values expected, 1 found", "text": "3"},
        {"file": path, "line": 7, "reason": "2 values expected, 3 found", "text": "4,y,z"},
        {
            "file": path,
            "line": 8,
            "reason": "column 'a': 'five' is not of type int64",
            "text": 'five,"a\nb"',
        },
    ]


def test_text_that_is_not_utf_8_is_rejected(tmp_path: Path) -> None:
    rows = ingest_csv(tmp_path, b"a,b\n1,caf\xe9\n2,x\n", max_rejected_share=0.5)
    assert rows == [{"a": 2, "b": "x"}]
    [reject] = read_rejects(tmp_path / "out")
    assert (reject["line"], reject["reason"]) == (2, "column 'b' is not valid UTF-8")


def test_an_unclosed_quote_costs_one_line(tmp_path: Path) -> None:
    rows = ingest_csv(tmp_path, 'a,b\n1,x\n2,"open\n3,y\n', max_rejected_share=0.5)
    assert [row["a"] for row in rows] == [1, 3]
    [reject] = read_rejects(tmp_path / "out")
    assert (reject["line"], reject["text"]) == (3, '2,"open')


def test_too_many_rejects_stop_the_run_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"1 of 3 rows .*rows\.csv line 3: 1 values expected"):
        ingest_csv(tmp_path, "a\n1\n2,2\n3\n", max_rejected_share=0.3)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_late_value_widens_the_column_for_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 1_000)
    body = "".join(f"{i},{i},{i}\n" for i in range(200_000))
    (tmp_path / "1.csv").write_text(f"whole,number,word\n{body}")
    (tmp_path / "2.csv").write_text("whole,number,word\n7,0.5,late\n")
    config = IngestConfig(CsvSource((str(tmp_path / "*.csv"),)), ALL, max_rejected_share=0.0)
    run_ingest(config, tmp_path / "out")
    table = read_table(tmp_path / "out", "all")
    assert table.schema.types == [pa.int64(), pa.float64(), pa.string()]
    assert table.slice(200_000).to_pylist() == [{"whole": 7, "number": 0.5, "word": "late"}]
    assert table["word"][1].as_py() == "1"


def test_huge_whole_numbers_keep_their_digits(tmp_path: Path) -> None:
    rows = ingest_csv(tmp_path, "id\n12345678901234567890\n1\n")
    assert rows == [{"id": "12345678901234567890"}, {"id": "1"}]


def test_postal_codes_keep_their_zeros(tmp_path: Path) -> None:
    rows = ingest_csv(tmp_path, "zip,n,x\n12345,0,0.5\n01234,-1,00.5\n")
    assert rows == [{"zip": "12345", "n": 0, "x": "0.5"}, {"zip": "01234", "n": -1, "x": "00.5"}]


def test_a_header_that_repeats_the_column_list_is_no_row(tmp_path: Path) -> None:
    assert ingest_csv(tmp_path, "a, b\n1, 2\n", columns=("a", "b")) == [{"a": 1, "b": 2}]


def test_headers_of_files_must_agree(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("b,a\n1,2\n")
    with pytest.raises(BeamfleetError, match=r"header of .*2\.csv .* but that of .*1\.csv"):
        run_ingest(IngestConfig(CsvSource((str(tmp_path),)), ALL), tmp_path / "out")


@pytest.mark.parametrize("header", ["a,a", "a,", "a,1\n"])
def test_a_row_of_data_is_no_header(tmp_path: Path, header: str) -> None:
    if header == "a,1\n":
        assert ingest_csv(tmp_path, "a,1\n1,2\n") == [{"a": 1, "1": 2}]
        return
    with pytest.raises(BeamfleetError, match="is no header"):
        ingest_csv(tmp_path, f"{header}\n1,2\n")


def test_a_column_list_that_is_too_long_rejects_every_row(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="2 values expected, 1 found"):
        ingest_csv(tmp_path, "1\n2\n", columns=("a", "b"))


def test_a_type_for_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="has no column"):
        ingest_csv(tmp_path, "a\n1\n", types=(("b", "int64"),))


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n"])
def test_no_rows_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(BeamfleetError, match="hold no rows"):
        ingest_csv(tmp_path, text)


def test_one_empty_file_among_others_is_fine(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("")
    (tmp_path / "2.csv").write_text("a\n1\n")
    run_ingest(IngestConfig(CsvSource((str(tmp_path),)), ALL), tmp_path / "out")
    assert read_rows(tmp_path / "out", "all") == [{"a": 1}]


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    assert ingest_csv(tmp_path, "a\n1\n") == [{"a": 1}]
    assert ingest_csv(tmp_path, "a\n2\n") == [{"a": 2}]


def test_given_splits(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n1\n2\n")
    (tmp_path / "eval.csv").write_text("a\n0.5\n")
    splits = GivenSplit((str(tmp_path / "eval.csv"),))
    run_ingest(IngestConfig(CsvSource((str(tmp_path / "train.csv"),)), splits), tmp_path / "out")
    assert read_rows(tmp_path / "out", "train") == [{"a": 1.0}, {"a": 2.0}]
    assert read_rows(tmp_path / "out", "eval") == [{"a": 0.5}]


def ingest_apart(tmp_path: Path, train: str, evaluation: str) -> int | None:
    (tmp_path / "train.csv").write_text(train)
    (tmp_path / "eval.csv").write_text(evaluation)
    splits = GivenSplit((str(tmp_path / "eval.csv"),))
    config = IngestConfig(CsvSource((str(tmp_path / "train.csv"),)), splits)
    return run_ingest(config, tmp_path / "out").rows_eval_in_train


def test_rows_of_both_given_splits_are_counted(tmp_path: Path) -> None:
    assert ingest_apart(tmp_path, "a,b\n1,x\n2,y\n3,\n", "a,b\n9,x\n2,y\n3.5,\n2,x\n") == 1


def test_an_evaluation_on_rows_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="2 of the 3 rows to evaluate on are among"):
        ingest_apart(tmp_path, "a,b\n1,x\n2,y\n3,z\n", "a,b\n1,x\n2,y\n4,z\n")
    assert list((tmp_path / "out").iterdir()) == []


def test_rows_of_few_values_may_repeat_in_both_splits(tmp_path: Path) -> None:
    assert ingest_apart(tmp_path, "a\n1\n2\n1\n2\n1\n", "a\n1\n2\n2\n") == 3


VALUES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=6
) | st.sampled_from(['"', '""', " x", "x ", ",", "\n", "\r\n", "a,b", 'a"b', "?", "12", "é"])


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(VALUES, min_size=2, max_size=2), min_size=1, max_size=8),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    blank=st.booleans(),
)
def test_reads_what_pythons_csv_module_reads(
    rows: list[list[str]], quoting: int, line_end: str, bom: bool, blank: bool
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=line_end).writerows([["k", "v"], *rows])  # type: ignore[arg-type]
    body = (line_end if blank else "") + text.getvalue()
    expected = list(csv.reader(io.StringIO(body, newline=""), skipinitialspace=True))
    expected = [row for row in expected if row][1:]
    if quoting == csv.QUOTE_MINIMAL:  # spaces before a delimiter are no part of a plain value
        expected = [[v if any(c in v for c in ',"\r\n') else v.rstrip(" ") for v in row]
                    for row in expected]  # fmt: skip
    # csv.writer leaves a lone carriage return unquoted, and csv.reader takes it for a line end.
    assume(all(len(row) == 2 for row in expected))
    with tempfile.TemporaryDirectory() as folder:
        data = (b"\xef\xbb\xbf" if bom else b"") + body.encode()
        types = (("k", "string"), ("v", "string"))
        found = ingest_csv(Path(folder), data, types=types, null_values=("nothing",))
    assert [[row["k"], row["v"]] for row in found] == expected


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from('ab",\n "'), max_size=60), block_bytes=st.integers(1, 20))
def test_blocks_lose_no_byte_and_no_line(text: str, block_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(text)
        blocks = list(read_blocks(str(path), Quoting(","), block_bytes))
    assert b"".join(block.data for block in blocks) == text.encode()
    line = 1
    for block in blocks:
        assert block.first_line == line
        line += block.data.count(b"\n")


IDENTIFIERS = ["02108", "0x10", "-01", "+07", '"007"', " 02108", "00.5"]


@pytest.mark.parametrize("late", IDENTIFIERS)
def test_identifiers_below_the_sample_keep_their_zeros(tmp_path: Path, late: str) -> None:
    body = "".join(f"94{i % 900 + 100},{i}\n" for i in range(60_000))
    rows = ingest_csv(tmp_path, f"zip,v\n{body}{late},1\n")
    assert rows[0] == {"zip": "94100", "v": 0}
    assert rows[-1] == {"zip": late.strip(' "'), "v": 1}


@pytest.mark.parametrize("late", ["123456789012345678901234", "007"])
def test_identifiers_below_a_sample_of_decimals(tmp_path: Path, late: str) -> None:
    body = "".join(f"{i}.5\n" for i in range(60_000))
    assert ingest_csv(tmp_path, f"x\n{body}{late}\n")[-1] == {"x": late}


def test_zeros_in_words_dates_and_decimals_leave_numbers_alone(tmp_path: Path) -> None:
    body = "".join(f"{i},0.5,2024-01-05 09:30,0{i % 7}\n" for i in range(60_000))
    rows = ingest_csv(tmp_path, f"n,x,time,zip\n{body}")
    assert rows[9] == {"n": 9, "x": 0.5, "time": "2024-01-05 09:30", "zip": "02"}


def test_a_column_that_the_user_calls_a_number_takes_any_spelling(tmp_path: Path) -> None:
    types = (("n", "int64"), ("x", "double"))
    rows = ingest_csv(tmp_path, "n,x\n007,123456789012345678901234\n", types=types)
    assert rows == [{"n": 7, "x": 123456789012345678901234.0}]


def test_a_column_that_the_schema_calls_a_number_takes_no_identifiers(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("n,x\n007,1\n0x10,1\n7,123456789012345678901234\n8,1\n")
    source = CsvSource((str(tmp_path / "rows.csv"),))
    config = IngestConfig(source, ALL, max_rejected_share=1)
    schema = {"n": "int64", "x": "double", "label": "string"}
    ingest(config, find_files(config), str(tmp_path / "out"), schema)
    assert read_rows(tmp_path / "out", "all") == [{"n": 8, "x": 1.0}]
    assert [(r["line"], r["reason"]) for r in read_rejects(tmp_path / "out")] == [
        (2, "column 'n': '007' is not of type int64"),
        (3, "column 'n': '0x10' is not of type int64"),
        (4, "column 'x': '123456789012345678901234' is not of type double"),
    ]
