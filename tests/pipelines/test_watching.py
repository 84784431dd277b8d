"""When a watch runs its pipeline, and when it does not."""

import json
from pathlib import Path

import pytest

from components.example_gen.source import CsvSource, IngestConfig
from pipelines.watching import STATE, Look, Seen, Watcher


class World:
    """Files and runs that are told what to do."""

    def __init__(self, root: Path) -> None:
        self.root, self.files, self.status, self.busy = root, None, 0, False
        self.files: Seen | None
        self.ran: list[str] = []

    def watcher(self) -> Watcher:
        return Watcher(self.root, lambda: self.files, self.run, lambda: self.busy)

    def run(self, seen: Seen) -> int:
        self.ran.append(seen.fingerprint)
        return self.status


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_files_are_run_once_they_have_settled(world: World) -> None:
    watcher = world.watcher()
    assert watcher.step() is None  # nothing is there
    for growing in ("a", "ab", "abc"):
        world.files = Seen(growing, (1,))
        assert watcher.step() is None
    assert watcher.step() == 0 and watcher.step() is None
    assert world.ran == ["abc"]
    world.files = Seen("next", (1, 2))
    assert [watcher.step() for _ in range(4)] == [None, 0, None, None]


def test_a_restart_runs_nothing_twice(world: World) -> None:
    world.files = Seen("a")
    watcher = world.watcher()
    assert [watcher.step(), watcher.step()] == [None, 0]
    again = world.watcher()
    assert [again.step() for _ in range(3)] == [None] * 3
    assert json.loads((world.root / STATE).read_text())["status"] == 0


def test_what_a_killed_run_left_is_run_again(world: World) -> None:
    world.files = Seen("a")

    def killed(seen: Seen) -> int:
        raise KeyboardInterrupt

    watcher = Watcher(world.root, lambda: world.files, killed, lambda: False)
    watcher.step()
    with pytest.raises(KeyboardInterrupt):
        watcher.step()
    again = world.watcher()
    assert [again.step(), again.step()] == [None, 0]


def test_a_failure_waits_for_other_files(world: World) -> None:
    world.files, world.status = Seen("bad"), 1
    watcher = world.watcher()
    assert [watcher.step() for _ in range(4)] == [None, 1, None, None]
    assert [world.watcher().step() for _ in range(2)] == [None, None]
    world.files, world.status = Seen("mended"), 0
    assert [watcher.step() for _ in range(2)] == [None, 0]


def test_another_run_is_waited_for(world: World) -> None:
    world.files, world.busy = Seen("a"), True
    watcher = world.watcher()
    assert [watcher.step() for _ in range(3)] == [None] * 3
    world.busy = False
    assert watcher.step() == 0


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"fingerprint": 1}', '{"spans": 7}'])
def test_a_broken_state_is_no_state(world: World, broken: str) -> None:
    (world.root / STATE).write_text(broken)
    world.files = Seen("a")
    watcher = world.watcher()
    assert [watcher.step(), watcher.step()] == [None, 0]


def test_a_look_follows_spans_and_content(tmp_path: Path) -> None:
    config = IngestConfig(CsvSource((str(tmp_path / "span-{SPAN}"),), window=2))
    said: list[str] = []
    look = Look(config, said.append)
    assert [look(), look()] == [None, None]
    assert len(said) == 1 and "there is no span at all" in said[0]
    for number in (1, 2, 3):
        (tmp_path / f"span-{number}").mkdir()
        (tmp_path / f"span-{number}" / "rows.csv").write_text("a\n1\n")
        seen = look()
        assert seen is not None and str(seen) == f"span {number}"
    assert seen.spans == (2, 3) and look() == seen
    (tmp_path / "span-1" / "rows.csv").write_text("a\n2\n")
    assert look() == seen  # it is out of the window
    (tmp_path / "span-2" / "rows.csv").write_text("a\n2\n")
    assert look() != seen
