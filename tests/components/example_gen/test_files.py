import os
from pathlib import Path

import pytest

from components.errors import BeamfleetError
from components.example_gen.files import InputFiles, find_files
from components.example_gen.schema_types import types_of_schema
from components.example_gen.source import CsvSource, GivenSplit, IngestConfig


def find(*paths: Path | str, **options: int) -> InputFiles:
    return find_files(IngestConfig(CsvSource(tuple(map(str, paths)), **options)))


@pytest.fixture
def spans(tmp_path: Path) -> Path:
    for name in ("span-2", "span-010", "span-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.csv").write_text("a\n1\n")
    return tmp_path


def test_a_folder_gives_its_csv_files_in_name_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.data", "c.CSV.gz", "README.md", ".hidden.csv", "_SUCCESS"):
        (tmp_path / name).write_text("x")
    assert [Path(p).name for p in find(tmp_path).main] == ["a.data", "b.csv", "c.CSV.gz"]


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("x")
    assert find(tmp_path / "rows").main == (str(tmp_path / "rows"),)


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "nope", tmp_path / "*.csv", tmp_path / "empty"):
        with pytest.raises(BeamfleetError, match="matches no file"):
            find(path)
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(BeamfleetError, match=r"no file that ends in .*notes\.md"):
        find(tmp_path)


@pytest.mark.parametrize("pattern", ["span-{SPAN}", "span-{SPAN}/rows.csv", "span-{SPAN}/*"])
def test_the_newest_span_counts_by_number(spans: Path, pattern: str) -> None:
    found = find(spans / pattern)
    assert (found.spans, found.main) == ((10,), (str(spans / "span-010/rows.csv"),))
    assert find(spans / pattern, span=2).main == (str(spans / "span-2/rows.csv"),)


def test_an_unknown_span_names_those_that_there_are(spans: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"span 3 .* spans \[2, 10\]"):
        find(spans / "span-{SPAN}", span=3)
    with pytest.raises(BeamfleetError, match="no span at all"):
        find(spans / "day-{SPAN}")


def test_a_window_takes_the_numbers_before_the_newest(tmp_path: Path) -> None:
    for number in (1, 2, 3, 5):
        (tmp_path / f"span-{number}").mkdir()
        (tmp_path / f"span-{number}" / "rows.csv").write_text("a\n1\n")
    pattern = tmp_path / "span-{SPAN}" / "*.csv"
    assert find(pattern, window=2).spans == (5,)  # there is no span 4
    assert find(pattern, window=3).spans == (3, 5)
    found = find(pattern, span=3, window=2)
    assert (found.spans, len(found.main)) == ((2, 3), 2)
    assert find(pattern, span=3, window=9).spans == (1, 2, 3)
    assert find(pattern, span=3, window=2).fingerprint != find(pattern, span=3).fingerprint


def test_a_path_without_a_span_is_read_once_in_a_window(spans: Path) -> None:
    (spans / "extra.csv").write_text("a\n1\n")
    (spans / "eval.csv").write_text("a\n2\n")
    (spans / "span-9").mkdir()
    (spans / "span-9" / "rows.csv").write_text("a\n3\n")
    paths = (str(spans / "extra.csv"), str(spans / "span-{SPAN}"))
    given = GivenSplit((str(spans / "eval.csv"),))
    found = find_files(IngestConfig(CsvSource(paths, window=2), given))
    assert found.spans == (9, 10)
    assert [Path(path).name for path in found.main].count("extra.csv") == 1
    assert len(found.main) == 3 and found.evaluation == (str(spans / "eval.csv"),)


def test_the_span_before_is_one_that_is_there(tmp_path: Path) -> None:
    for number in (1, 4, 7):
        (tmp_path / f"span-{number}").mkdir()
        (tmp_path / f"span-{number}" / "rows.csv").write_text("a\n1\n")
    pattern = tmp_path / "span-{SPAN}"
    assert find(pattern, back=1).spans == (4,)
    assert find(pattern, span=4, back=1).spans == (1,)
    assert find(pattern, back=1, window=4).spans == (1, 4)
    nothing = find(pattern, span=1, back=1)
    assert (nothing.spans, nothing.main) == ((), ())


def test_of_each_span_the_highest_version_is_read(tmp_path: Path) -> None:
    for name in ("span-1/v2", "span-1/v10", "span-2/v1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "rows.csv").write_text("a\n1\n")
    pattern = tmp_path / "span-{SPAN}" / "v{VERSION}"
    versions = [str(tmp_path / f"{name}/rows.csv") for name in ("span-1/v10", "span-2/v1")]
    assert list(find(pattern, window=2).main) == versions
    (tmp_path / "span-3").mkdir()
    (tmp_path / "span-3" / "note.txt").write_text("x")
    assert find(pattern, window=1).spans == (2,)
    with pytest.raises(BeamfleetError, match="there is no version at all"):
        find(tmp_path / "span-1" / "w{VERSION}")


def test_a_window_needs_spans() -> None:
    with pytest.raises(ValueError, match=r"a window of spans needs \{SPAN\} in a path"):
        CsvSource(("data/day-1",), window=2)
    with pytest.raises(ValueError, match="window must be >= 1"):
        CsvSource(("data/day-{SPAN}",), window=0)


def test_the_fingerprint_follows_content_time_and_role(tmp_path: Path) -> None:
    one, two = tmp_path / "1.csv", tmp_path / "2.csv"
    one.write_text("a\n1\n")
    two.write_text("a\n2\n")
    before = find(one, two).fingerprint
    assert find(one, two).fingerprint == before
    given = IngestConfig(CsvSource((str(one),)), GivenSplit((str(two),)))
    assert find_files(given).fingerprint != before
    os.utime(one, (1, 1))
    assert find(one, two).fingerprint != before


@pytest.mark.parametrize("in_place", [True, False])
def test_the_fingerprint_sees_a_change_that_keeps_size_and_time(
    tmp_path: Path, in_place: bool
) -> None:
    path = tmp_path / "1.csv"
    path.write_text("a\n1\n")
    os.utime(path, (1, 1))
    before = find(path).fingerprint
    if not in_place:
        (tmp_path / "1.csv").rename(tmp_path / "old.csv")
    path.write_text("a\n2\n")
    os.utime(path, (1, 1))
    assert find(path).fingerprint != before


def find_apart(train: Path, evaluation: Path) -> InputFiles:
    return find_files(IngestConfig(CsvSource((str(train),)), GivenSplit((str(evaluation),))))


@pytest.mark.parametrize("same", ["path", "link", "copy"])
def test_rows_to_evaluate_on_are_not_those_to_train_on(tmp_path: Path, same: str) -> None:
    train, evaluation = tmp_path / "train.csv", tmp_path / "eval.csv"
    train.write_text("a\n1\n")
    if same == "path":
        evaluation = tmp_path / "." / "train.csv"
    elif same == "link":
        evaluation.symlink_to(train)
    else:
        evaluation.write_bytes(train.read_bytes())
    with pytest.raises(BeamfleetError, match="give eval data of its own"):
        find_apart(train, evaluation)


def test_files_without_rows_may_be_alike(tmp_path: Path) -> None:
    for split, row in (("train", "1\n"), ("eval", "2\n")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "0.csv").write_text(f"a\n{row}")
        (tmp_path / split / "1.csv").write_text("a\n")
    assert len(find_apart(tmp_path / "train", tmp_path / "eval").evaluation) == 2


def test_types_of_a_schema(tmp_path: Path) -> None:
    path = tmp_path / "schema.pbtxt"
    path.write_text('feature { name: "a" type: INT } feature { name: "b" type: BYTES }')
    assert types_of_schema(str(path)) == {"a": "int64", "b": "string"}
    path.write_text('feature { name: "a" type: INT lifecycle_stage: DEPRECATED }')
    assert types_of_schema(str(path)) == {}  # its values reject no row
    path.write_text("nonsense")
    with pytest.raises(BeamfleetError, match="not a schema"):
        types_of_schema(str(path))
