"""Pushing, reading and rolling back versions."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.pusher.versions import PushedVersions, Version
from tests.components.pusher.stores import SPEC, make_store


@pytest.fixture
def stores(tmp_path: Path) -> list[str]:
    return [make_store(tmp_path / f"model-{i}", {"Bachelors": i, "": 0.5}) for i in range(6)]


@pytest.fixture
def pushed(tmp_path: Path) -> PushedVersions:
    return PushedVersions(str(tmp_path / "pushed"))


def push(pushed: PushedVersions, uri: str, keep: int = 9) -> Version:
    current = pushed.current()
    return pushed.push(uri, f"candidate of {uri}", current.number if current else 0, keep)


def served(version: Version | None) -> float:
    assert version is not None
    model, _ = EntityModels(version.path).model("Bachelors")
    return float(model.value)  # type: ignore[attr-defined]


def numbers(pushed: PushedVersions) -> list[int]:
    return [version.number for version in pushed.versions()]


def history(pushed: PushedVersions) -> list[str]:
    return Path(pushed.directory, "history.jsonl").read_text().splitlines()


def test_nothing_pushed_is_no_version(pushed):
    assert pushed.current() is None
    assert pushed.versions() == []
    assert pushed.baseline_for("candidate") == 0
    assert not Path(pushed.directory).exists()  # reading leaves no trace


def test_push_makes_the_next_version_current(pushed, stores):
    first = push(pushed, stores[1])
    second = push(pushed, stores[2])
    assert (first.number, second.number) == (1, 2)
    assert first.new and second.new
    assert served(pushed.current()) == 2
    assert served(pushed.version(1)) == 1
    assert numbers(pushed) == [1, 2]


def test_details_say_where_a_version_comes_from(pushed, stores):
    push(pushed, stores[1])
    details = push(pushed, stores[2]).details
    assert pushed.current().details == details
    assert details["model_uri"] == stores[2]
    assert details["candidate_uri"] == f"candidate of {stores[2]}"
    assert details["baseline_version"] == details["previous_version"] == 1
    assert details["schema_fingerprint"] == SPEC.fingerprint()
    assert details["store_fingerprint"] == EntityModels(stores[2]).fingerprint
    assert details["counts"] == {"entities": 2}


def test_identical_store_is_not_pushed_again(pushed, stores, tmp_path):
    push(pushed, stores[1])
    copy = shutil.copytree(stores[1], tmp_path / "copy")
    again = push(pushed, str(copy))
    assert (again.number, again.new) == (1, False)
    assert numbers(pushed) == [1]
    assert len(history(pushed)) == 1


def test_what_the_training_cost_is_not_pushed(pushed, stores):
    first, costs = push(pushed, stores[1]), Path(stores[1], "costs.parquet")
    costs.write_bytes(b"other seconds each time")
    assert not push(pushed, stores[1]).new
    assert push(pushed, stores[2]).new and push(pushed, stores[1]).number == 3
    files = [{p.name for p in Path(v.path).rglob("*")} for v in (first, pushed.current())]
    assert costs.exists() and files[0] == files[1], "costs.parquet was not there the first time"


def test_identical_to_an_older_version_is_a_new_version(pushed, stores):
    for store in (stores[1], stores[2], stores[1]):
        push(pushed, store)
    assert numbers(pushed) == [1, 2, 3]
    assert served(pushed.current()) == 1


def test_keeps_the_newest(pushed, stores):
    for store in stores:
        push(pushed, store, keep=3)
    assert numbers(pushed) == [4, 5, 6]


def test_keep_one_keeps_the_one_before_too(pushed, stores):
    for store in stores:
        push(pushed, store, keep=1)
    assert numbers(pushed) == [5, 6]


def test_keep_spares_the_version_that_was_current_before(pushed, stores):
    for store in stores[:3]:
        push(pushed, store)
    pushed.rollback(to=1)
    push(pushed, stores[4], keep=1)
    assert numbers(pushed) == [1, 4]
    assert pushed.rollback().number == 1


def test_keep_none_is_refused(pushed, stores):
    with pytest.raises(BeamfleetError, match="at least 1"):
        push(pushed, stores[0], keep=0)


def test_rollback_goes_to_what_was_current_before(pushed, stores):
    for store in stores[:2]:
        push(pushed, store)
    assert pushed.rollback().number == 1
    push(pushed, stores[3])
    assert pushed.rollback().number == 1  # not 2, which somebody rolled back from
    assert pushed.rollback(to=3).number == 3
    assert served(pushed.current()) == 3
    assert numbers(pushed) == [1, 2, 3]


def test_rollback_is_recorded(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1])
    pushed.rollback()
    pushed.rollback(to=1)  # already there: nothing to record
    records = [json.loads(x) for x in history(pushed)]
    moves = [(r["action"], r["from"], r["to"]) for r in records]
    assert moves == [("push", 0, 1), ("push", 1, 2), ("rollback", 2, 1)]
    assert set(records[0]) == {"time", "action", "from", "to", "by"}


def test_rollback_without_a_target_says_why(pushed, stores):
    with pytest.raises(BeamfleetError, match="nothing was pushed"):
        pushed.rollback()
    push(pushed, stores[0])
    with pytest.raises(BeamfleetError, match="was the first"):
        pushed.rollback()
    with pytest.raises(BeamfleetError, match="no version 7 to roll back to; choose one of: 1"):
        pushed.rollback(to=7)


def test_version_that_is_not_there(pushed, stores):
    push(pushed, stores[0])
    with pytest.raises(BeamfleetError, match="no version 2; choose one of: 1"):
        pushed.version(2)


def test_number_is_never_used_again(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1])
    pushed.rollback()
    shutil.rmtree(pushed.version(2).path)
    assert push(pushed, stores[2]).number == 3


def test_baseline_of_a_pushed_candidate_stays_what_it_was(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1])
    assert pushed.baseline_for(f"candidate of {stores[1]}") == 1
    assert pushed.baseline_for("another candidate") == 2
    pushed.rollback()
    assert pushed.baseline_for(f"candidate of {stores[1]}") == 1
    assert pushed.baseline_for(f"candidate of {stores[0]}") == 0


def test_candidates_are_one_contest(pushed, stores):
    push(pushed, stores[0])
    pushed.push(stores[1], "a", 1, keep=5, rivals=["b"])
    assert pushed.current().details["rivals"] == ["b"]
    assert pushed.baseline_for("b", "a") == 1  # as when it was evaluated
    assert pushed.baseline_for("a") == pushed.baseline_for("a", "c") == 2
    # Judged in another way, another one of the same candidates is the best.
    with pytest.raises(BeamfleetError, match="composed over version 1, but version 2 is current"):
        pushed.push(stores[2], "c", 1, keep=5, rivals=["a"])
    assert pushed.push(stores[2], "b", 1, keep=5, rivals=["a"]).number == 3


def test_model_composed_over_another_version_is_refused(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1])
    with pytest.raises(BeamfleetError, match="composed over version 1, but version 2 is current"):
        pushed.push(stores[2], "candidate", 1, keep=5)
    assert served(pushed.current()) == 1


def test_the_same_candidate_judged_in_another_way_is_pushed(pushed, stores):
    pushed.push(stores[1], "candidate", baseline_version=0, keep=3)
    again = pushed.push(stores[2], "candidate", baseline_version=0, keep=3)
    assert (again.number, served(pushed.current())) == (2, 2)
    with pytest.raises(BeamfleetError, match="composed over version 0, but version 2"):
        pushed.push(stores[3], "another candidate", baseline_version=0, keep=3)


def test_a_directory_in_the_place_of_another_has_another_id(pushed, stores):
    push(pushed, stores[1])
    first = pushed.directory_id()
    assert pushed.directory_id() == first
    shutil.rmtree(pushed.directory)
    assert pushed.directory_id() != first
    assert push(pushed, stores[1]).number == 1


def test_other_schema_is_refused(pushed, stores, tmp_path):
    push(pushed, stores[0])
    spec = replace(SPEC, features=(("age", "double"), ("hours", "double")))
    other = make_store(tmp_path / "other", {"": 1.0}, spec)
    with pytest.raises(BeamfleetError, match=r"does not fit version 1 .* other features"):
        push(pushed, other)
    assert numbers(pushed) == [1]


def test_damaged_payload_is_not_pushed(pushed, stores):
    push(pushed, stores[0])
    [shard] = Path(stores[1]).glob("shards/shard-00000-*")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(BeamfleetError, match="SHA-256 differs"):
        push(pushed, stores[1])
    assert numbers(pushed) == [1]
    assert not list(Path(pushed.directory).glob(".staged-*"))


def test_not_a_store_is_refused(pushed, tmp_path):
    with pytest.raises(BeamfleetError, match=r"manifest\.json"):
        push(pushed, str(tmp_path))
    assert pushed.current() is None


def test_foreign_folder_is_refused(pushed, stores):
    Path(pushed.directory).mkdir()
    Path(pushed.directory, "holiday.jpg").touch()
    with pytest.raises(BeamfleetError, match=r"holds holiday\.jpg and no CURRENT"):
        push(pushed, stores[0])


def test_foreign_version_folder_is_refused(pushed, stores):
    push(pushed, stores[0])
    Path(pushed.directory, "2").mkdir()
    with pytest.raises(BeamfleetError, match="move it out of the way"):
        push(pushed, stores[1])
    assert served(pushed.current()) == 0


def test_folders_of_other_names_are_left_alone(pushed, stores):
    push(pushed, stores[0])
    for name in ("notes", "007", "0", "²"):
        Path(pushed.directory, name).mkdir()
    assert push(pushed, stores[1]).number == 2
    assert numbers(pushed) == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "2",
        '{"version": 9}',
        '{"version": 9, "highest": 2}',
        '{"version": 1e400, "highest": 2}',
        "[" * 200_000,
        "\x00",
    ],
    ids=range(9),
)
def test_broken_pointer_says_what_to_do_and_is_mended_by_it(pushed, stores, content):
    push(pushed, stores[0])
    push(pushed, stores[1])
    Path(pushed.directory, "CURRENT").write_text(content)
    for action in (pushed.current, pushed.versions, pushed.rollback):
        with pytest.raises(BeamfleetError, match=r"CURRENT is broken.* roll back to one of: 1, 2"):
            action()
    assert pushed.rollback(to=1).number == 1
    assert served(pushed.current()) == 0


def test_missing_pointer(pushed, stores):
    push(pushed, stores[0])
    Path(pushed.directory, "CURRENT").unlink()
    with pytest.raises(BeamfleetError, match="CURRENT is missing; roll back to one of: 1"):
        pushed.current()
    with pytest.raises(BeamfleetError, match="CURRENT is missing"):
        pushed.push(stores[1], "candidate", 0, keep=5)


def test_missing_version_folder(pushed, stores):
    push(pushed, stores[0])
    shutil.rmtree(push(pushed, stores[1]).path)
    with pytest.raises(BeamfleetError, match=r"2 is missing or .* roll back to one of: 1"):
        pushed.current()
    assert pushed.rollback(to=1).number == 1


def test_renamed_version_folder(pushed, stores):
    version = push(pushed, stores[0])
    push(pushed, stores[1])
    shutil.rmtree(pushed.version(2).path)
    Path(version.path).rename(Path(pushed.directory, "2"))
    with pytest.raises(BeamfleetError, match="says that it is version 1"):
        pushed.current()


def test_remote_directory_is_read_only(stores):
    with pytest.raises(BeamfleetError, match="is not a local folder"):
        PushedVersions("gs://bucket/pushed").push(stores[0], "candidate", 0, keep=5)
    with pytest.raises(BeamfleetError, match="is not a local folder"):
        PushedVersions("gs://bucket/pushed").rollback()


class _TestFileSystem(LocalFileSystem):
    """The local disk under test://, as object stores have their own scheme."""

    @classmethod
    def scheme(cls):
        return "test"

    def join(self, base, *paths):
        return "/".join([base, *paths])

    def match(self, patterns, limits=None):
        found = super().match([p.removeprefix("test:/") for p in patterns], limits)
        for result in found:
            result.metadata_list = [
                FileMetadata(f"test:/{m.path}", m.size_in_bytes) for m in result.metadata_list
            ]
        return found

    def exists(self, path):
        return super().exists(path.removeprefix("test:/"))

    def open(self, path, *args, **kwargs):
        return super().open(path.removeprefix("test:/"), *args, **kwargs)


def test_reads_and_copies_from_any_beam_filesystem(pushed, stores, tmp_path):
    push(pushed, f"test:/{stores[0]}")
    push(pushed, stores[1])
    remote = PushedVersions(f"test:/{pushed.directory}")
    assert remote.baseline_for("another candidate") == 2
    assert numbers(remote) == [1, 2]
    assert served(remote.current()) == 1
    assert served(remote.version(1)) == 0
    assert PushedVersions(f"test:/{tmp_path}/none").current() is None


def test_file_in_the_way(pushed, stores):
    Path(pushed.directory).touch()
    with pytest.raises(BeamfleetError, match="cannot be a pushed directory"):
        push(pushed, stores[0])


def test_unfinished_history_line_stays_its_own(pushed, stores):
    push(pushed, stores[0])
    with Path(pushed.directory, "history.jsonl").open("a") as file:
        file.write('{"time": "2026')
    push(pushed, stores[1])
    assert json.loads(history(pushed)[-1])["to"] == 2


_MOVES = st.one_of(
    st.tuples(st.just("push"), st.integers(0, 5)),
    st.tuples(st.just("rollback"), st.integers(1, 6)),
    st.tuples(st.just("previous"), st.just(0)),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves=st.lists(_MOVES, max_size=8), keep=st.integers(1, 3))
def test_any_history_leaves_whole_versions(stores, tmp_path_factory, moves, keep):
    pushed = PushedVersions(str(tmp_path_factory.mktemp("any") / "pushed"))
    given_out: list[int] = []
    current, content = 0, {}
    for move, which in moves:
        before = numbers(pushed)
        if move == "push":
            version = push(pushed, stores[which], keep)
            assert version.new == (content.get(current) != which)
            if version.new:
                assert version.number not in given_out
                assert current in (0, *numbers(pushed))
                given_out.append(version.number)
            current = version.number
            content[current] = which
        else:
            try:
                current = pushed.rollback(which or None).number
                assert not which or current == which
            except BeamfleetError:
                assert which not in before
        if current:
            assert served(pushed.current()) == content[current]
            assert current in numbers(pushed)
        assert len(numbers(pushed)) <= keep + 2
