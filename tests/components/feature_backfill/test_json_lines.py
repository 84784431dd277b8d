"""Long files of JSON lines are read in chunks, with the columns of all of them."""

from pathlib import Path

import polars as pl
import pytest

from components.feature_backfill import json_lines
from components.feature_backfill.json_lines import json_batches
from components.feature_values.json_objects import json_object


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
def test_chunks_hold_whole_lines_and_every_column(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "CHUNK_BYTES", size)
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2.5, "b": "x"}\n[1]\nnull\n{"a": 3, "c": true}\n{"a": nope}')
    batches = list(json_batches(str(path)))
    rows = pl.concat([rows for rows, _, _ in batches])
    assert rows.rows() == [(1.0, None, None), (2.5, "x", None), (3.0, None, True)]
    assert [n for _, numbers, _ in batches for n in numbers.tolist()] == [0, 2, 5]
    assert [n for _, _, bad in batches for n in bad["row"].to_list()] == [3, 4, 6]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    assert list(json_batches(str(tmp_path / "a.jsonl"))) == []


HOSTILE = [
    '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a": "\\udc00 x"}',
    '{"\\ud800": 1}', '\ufeff{"a": 1}', '{"a": 1} x', '{"a": 1}{"a": 2}', "{'a': 1}", '{"a": 1,}',
    '"a"', "5", "null", "[{}]", f'{{"z": {"[" * 9_000}{"]" * 9_000}}}',
]  # fmt: skip
GOOD = ['{"a": 1, "a": 2}', '{"a": -0.0}', '{"a": 1e3}', '{"b": "\\ud83d\\ude00 \\u0000 \\ud7ff"}']


@pytest.mark.parametrize("hostile", HOSTILE)
def test_history_takes_the_lines_that_a_stream_takes(hostile: str, tmp_path: Path) -> None:
    lines = [GOOD[0], hostile, *GOOD[1:]]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, ""]))
    [(rows, numbers, bad)] = json_batches(str(tmp_path / "a.jsonl"))
    streamed = [json_object(line.encode())[0] for line in lines]
    assert bad["row"].to_list() == [1] == [n for n, row in enumerate(streamed) if row is None]
    assert numbers.tolist() == [0, 2, 3, 4]
    columns: dict[str, None] = {"a": None, "b": None}
    assert rows.to_dicts() == [columns | row for row in streamed if row is not None]
    assert rows["a"][0] == 1


def test_objects_without_columns_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n{}\n")
    [(rows, numbers, bad)] = json_batches(str(tmp_path / "a.jsonl"))
    assert (rows.height, numbers.tolist(), bad["row"].to_list()) == (0, [], [0, 1])
