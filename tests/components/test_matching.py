"""Local patterns match what Beam's LocalFileSystem matches."""

from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.matching import match

NAMES = ("a/x.csv", "a/b/y.csv", "ab/[x].csv", "a/]z", "a/^q", "top.csv", "a/!w", "a/b/x1")
PARTS = ("a", "b", "x", "/", "*", "**", "?", "[", "!", "]", "^", "-", ".csv", "x.csv", "a/")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    for name in NAMES:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    return made


@settings(deadline=None, derandomize=True, max_examples=400,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.lists(st.sampled_from(PARTS), max_size=6).map("".join))
def test_a_pattern_matches_as_in_beam(folder: Path, pattern: str) -> None:
    path = f"{folder}/{pattern}"
    try:
        theirs = FileSystems.match([path])[0].metadata_list
    except Exception:  # a range such as [x-a] is no regular expression
        with pytest.raises(Exception, match=r"bad character range|unterminated"):
            match(path)
        return
    found = {(m.path, m.size_in_bytes, m.last_updated_in_seconds) for m in theirs}
    assert {tuple(m) for m in match(path)} == found
