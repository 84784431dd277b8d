"""A reviewed schema changes when a person says so, and it is kept who that was."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from components.curated_schema import accept
from components.curated_schema.accept import Review, accept_schema, create_schema, history_file
from components.curated_schema.text import parse_schema
from components.errors import BeamfleetError

TEXT = '# ours\nfeature { name: "fare" type: FLOAT }\nfeature { name: "paid" type: BYTES }\n'
REVIEW = Review("Ada", "more of them", "20260101-000000", "runs/taxi")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "schema.pbtxt"
    made.write_text(TEXT)
    return made


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def proposed() -> schema_pb2.Schema:
    schema = parse_schema(TEXT, "")
    schema.feature[1].lifecycle_stage = schema_pb2.DEPRECATED
    schema.feature.add(name="tips", type=schema_pb2.FLOAT)
    return schema


def test_all_is_taken_over_and_kept_with_a_name(file: Path) -> None:
    changes = accept_schema(file, digest(file), proposed(), None, REVIEW)
    assert [change.column for change in changes] == ["paid", "tips"]
    assert parse_schema(file.read_text(), "") == proposed()
    assert file.read_text().startswith("# ours\n")
    [line] = history_file(file).read_text().splitlines()
    entry = json.loads(line)
    assert (entry["by"], entry["why"], entry["run"]) == ("Ada", "more of them", "20260101-000000")
    assert list(entry["columns"]) == ["paid", "tips"] and entry["sha256"] == digest(file)
    assert sorted(p.name for p in file.parent.iterdir()) == [
        "schema.pbtxt", "schema.pbtxt.history.jsonl",
    ]  # fmt: skip


def test_one_column_is_taken_over(file: Path) -> None:
    accept_schema(file, digest(file), proposed(), ["tips"], REVIEW)
    schema = parse_schema(file.read_text(), "")
    assert [f.name for f in schema.feature] == ["fare", "paid", "tips"]
    assert not schema.feature[1].lifecycle_stage


def test_a_file_that_has_changed_meanwhile_is_left_alone(file: Path) -> None:
    seen = digest(file)
    accept_schema(file, seen, proposed(), ["tips"], REVIEW)
    now = file.read_text()
    with pytest.raises(BeamfleetError, match=r"has changed since run .* accepted by Ada at 20"):
        accept_schema(file, seen, proposed(), ["paid"], REVIEW)
    assert file.read_text() == now and len(history_file(file).read_text().splitlines()) == 1


def test_nothing_to_take_over_is_said(file: Path) -> None:
    with pytest.raises(BeamfleetError, match="proposes no change"):
        accept_schema(file, digest(file), parse_schema(TEXT, ""), None, REVIEW)
    with pytest.raises(BeamfleetError, match="cannot be read"):
        accept_schema(file.with_name("gone.pbtxt"), "", proposed(), None, REVIEW)
    assert not history_file(file).exists()


def test_a_full_disk_leaves_the_file_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(accept, "write_whole", full)
    with pytest.raises(OSError, match="No space"):
        accept_schema(file, digest(file), proposed(), None, REVIEW)
    assert file.read_text() == TEXT


def test_the_first_schema_overwrites_nothing(file: Path) -> None:
    first = file.parent / "new" / "schema.pbtxt"
    create_schema(first, proposed(), REVIEW)
    assert parse_schema(first.read_text(), "") == proposed()
    assert json.loads(history_file(first).read_text())["by"] == "Ada"
    with pytest.raises(BeamfleetError, match="is there already"):
        create_schema(file, proposed(), REVIEW)
    assert file.read_text() == TEXT


def test_reviewing_takes_no_tensorflow() -> None:
    code = (
        "import sys; import pipelines.commands.schema, pipelines.cli; "
        "import components.curated_schema.changes, tensorflow_metadata.proto.v0.schema_pb2; "
        "print(sorted({'tensorflow', 'apache_beam', 'pyarrow', 'tfx'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.stdout.strip() == "[]", done.stderr
