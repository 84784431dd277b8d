"""Columns in which numbers and other words are mixed."""

from pathlib import Path
from typing import Any

import pytest

from components.example_gen.ingest import IngestCounts
from components.example_gen.source import CsvSource, IngestConfig
from tests.components.example_gen.reading import ALL, read_table, run_ingest


def ingested(folder: Path, values: list[str], **options: Any) -> tuple[IngestCounts, str]:
    rows = "".join(f"a{i},{value}\n" for i, value in enumerate(values))
    (folder / "rows.csv").write_text(f"id,v\n{rows}")
    config = IngestConfig(CsvSource((str(folder / "rows.csv"),), **options), ALL)
    counts = run_ingest(config, folder / "out")
    return counts, str(read_table(folder / "out", "all").schema.field("v").type)


@pytest.mark.parametrize("late", [False, True])
def test_a_few_misspelt_numbers_are_rejected(tmp_path, monkeypatch, late):
    if late:
        monkeypatch.setattr("components.example_gen.csv_reader._SAMPLE_BYTES", 100)
    values = [f"{i}.5" for i in range(1000)]
    values[500:503] = ["abc"] * 3
    counts, kind = ingested(tmp_path, values)
    assert (counts.rows_in, counts.rows_rejected, kind) == (1000, 3, "double")
    assert "abc" in counts.first_rejects[0].reason and counts.first_rejects[0].line == 502
    assert counts.notes == []


def test_many_of_them_make_words_and_a_note(tmp_path):
    counts, kind = ingested(tmp_path, ["7"] * 900 + ["A/5 7"] * 100)
    assert (counts.rows_rejected, kind) == (0, "string")
    [note] = counts.notes
    assert "'v' is taken for words: 900 of 1000 values are numbers, others such as 'A/5 7'" in note


@pytest.mark.parametrize("late", [False, True])
def test_one_number_too_long_makes_words_of_all_and_a_note(tmp_path, monkeypatch, late):
    if late:
        monkeypatch.setattr("components.example_gen.csv_reader._SAMPLE_BYTES", 100)
    values = [str(n) for n in range(999)] + ["1" + 30 * "0"]
    counts, kind = ingested(tmp_path, values)
    assert (counts.rows_rejected, kind) == (0, "string")
    [note] = counts.notes
    assert f"'v' is taken for words: 1 of 1000 values, such as '{values[-1]}', have more" in note


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([f"4{n:019}" for n in range(1000)], {}),
        ([str(10**30)] + ["1"] * 999, {"types": (("v", "string"),)}),
        (["02108"] + ["94105"] * 999, {}),
        (["x"] + ["1"] * 999, {"types": (("v", "string"),)}),
        (["x"] * 600 + ["1"] * 400, {}),
    ],
)
def test_words_are_words(tmp_path, values, options):
    counts, kind = ingested(tmp_path, values, **options)
    assert (counts.rows_rejected, counts.notes, kind) == (0, [], "string")


def test_a_stated_type_takes_any_spelling_of_a_whole_number(tmp_path):
    values = ["1", "60.0", "007", "-3.00", "2.5"] + ["4"] * 995
    counts, kind = ingested(tmp_path, values, types=(("v", "int64"),))
    assert (counts.rows_rejected, kind) == (1, "int64")
    found = read_table(tmp_path / "out", "all").column("v").to_pylist()
    assert found[:4] == [1, 60, 7, -3] and "2.5" in counts.first_rejects[0].reason
