"""Rows to predict are read as those to train on were."""

import gzip
import json
from dataclasses import replace

import pytest

from components.entity_models.key import entity_keys
from components.entity_models.read_rows import read_rows
from components.errors import BeamfleetError
from tests.components.entity_models.stores import SPEC


def read(file, content, spec=SPEC):
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_rows(file, spec)


def test_csv_is_read_by_the_rules_of_ingestion(tmp_path):
    table, rejects = read(
        tmp_path / "rows.csv",
        'more, place, word, count, size\n7, HS-grad, ?, 1, 2.5\n8, "a, b", x,, ?\n\n?,?,y, 3, 1\n',
    )
    assert rejects == []
    assert table.to_pylist() == [
        {"place": "HS-grad", "word": None, "count": 1, "size": 2.5},
        {"place": "a, b", "word": "x", "count": None, "size": None},
        {"place": None, "word": "y", "count": 3, "size": 1.0},
    ]


def test_gzip_and_a_byte_order_mark_are_read(tmp_path):
    file = tmp_path / "rows.csv.gz"
    file.write_bytes(gzip.compress("\ufeffplace,word,count,size\na,b,1,2\n".encode()))
    assert read_rows(file, SPEC)[0].column("place").to_pylist() == ["a"]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [("double", ["1", "2", "2.5"]), ("string", ["1.0", "2.0", "2.5"])],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.json"])
def test_entities_get_the_type_that_they_had_in_training(tmp_path, name, kind, keys):
    words = ["1.0", "2.0", "2.5"]
    content = "place,word,count,size\n" + "".join(f"{w},a,1,1\n" for w in words)
    if name == "rows.json":
        content = [{"place": word, "word": "a", "count": 1, "size": 1} for word in words]
    spec = replace(SPEC, entity_types=(kind,))
    table, _ = read(tmp_path / name, content, spec)
    assert entity_keys(table, spec.entity_columns).to_pylist() == keys


def test_rows_of_csv_that_do_not_fit_are_named_with_line_and_reason(tmp_path):
    table, rejects = read(
        tmp_path / "rows.csv", "place,word,count,size\na,b,one,2\nc,d,1,2\ne,f\ng,h,1.5,2\n"
    )
    assert table.column("place").to_pylist() == ["c"]
    assert [(reject.line, reject.reason) for reject in rejects] == [
        (2, "column 'count': 'one' is not of type int64"),
        (4, "4 values expected, 2 found"),
        (5, "column 'count': '1.5' is not of type int64"),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("place,word,count,size,place\na,b,1,2,c\n", "names must be distinct"),
        ("place,word,count\na,b,1\n", r"no column \['size'\]"),
        ("place,word,count,size\n", "holds no rows"),
        ("", "holds no rows"),
    ],
)
def test_csv_of_another_form_is_refused(tmp_path, content, words):
    with pytest.raises(BeamfleetError, match=words):
        read(tmp_path / "rows.csv", content)


ROW = {"place": "a", "word": "b", "count": 1, "size": 2.5}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([ROW, {**ROW, "count": "1"}], "row 1 of 'count' is '1', a whole number expected"),
        ([{**ROW, "count": True}], "row 0 of 'count' is True"),
        ([{**ROW, "count": 2**70}], "column 'count', a whole number expected"),
        ([{**ROW, "word": 7}], "row 0 of 'word' is 7, a string expected"),
        ([{**ROW, "place": [1]}], r"row 0 of 'place' is \[1\], a string or a number expected"),
        ([{**ROW, "place": 1}, ROW], "column 'place', a string or a number expected"),
        ([{"place": "a"}], "row 0 lacks 'word'; a string or null expected"),
        ([], "one or more objects"),
        ({"place": "a"}, "one or more objects"),
        ("[" * 200_000, "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_json_that_does_not_fit_is_refused_in_one_sentence(tmp_path, content, words):
    with pytest.raises(BeamfleetError, match=words):
        read(tmp_path / "rows.json", content)


def test_an_entity_in_json_may_be_a_number(tmp_path):
    assert read(tmp_path / "rows.json", [{**ROW, "place": 7}])[0]["place"].to_pylist() == ["7"]
    spec = replace(SPEC, entity_types=("int64",))
    with pytest.raises(BeamfleetError, match="row 0 of entity column 'place' is 'a'"):
        read(tmp_path / "rows.json", [ROW], spec)
