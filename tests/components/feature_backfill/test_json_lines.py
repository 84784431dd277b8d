"""Long files of JSON lines are read in chunks, with the columns of all of them."""

from pathlib import Path

import polars as pl
import pytest

from components.feature_backfill import json_lines
from components.feature_backfill.json_lines import json_batches


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
