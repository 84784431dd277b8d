"""Killed and concurrent pushes."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.pusher import versions as versions_module
from components.pusher.files import exclusive
from components.pusher.stores import open_store
from components.pusher.versions import PushedVersions
from tests.components.ensemble.bundles import make_bundle
from tests.components.pusher.killing import killed
from tests.components.pusher.stores import make_store


@pytest.fixture
def stores(tmp_path: Path) -> list[str]:
    return [make_store(tmp_path / f"model-{i}", {"Bachelors": i, "": 0.5}) for i in range(4)]


def _push(directory: str, uri: str, baseline: int) -> None:
    PushedVersions(directory).push(uri, "candidate", baseline, keep=1)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("bundles")
    return [make_bundle(folder / f"bundle-{i}", i) for i in range(4)]


def _check_whole(pushed: PushedVersions) -> None:
    for version in pushed.versions():
        store = open_store(version.path)
        assert store.fingerprint == version.details["store_fingerprint"]
        store.check()


def _prepared(directory: Path, stores: list[str]) -> PushedVersions:
    pushed = PushedVersions(str(directory))
    for number, uri in enumerate(stores):
        pushed.push(uri, "candidate", number, keep=9)
    return pushed


@pytest.mark.parametrize("there", [0, 2])
@pytest.mark.parametrize("kind", ["stores", "bundles"])
def test_push_killed_anywhere_leaves_the_old_version_or_the_new(request, tmp_path, kind, there):
    stores = request.getfixturevalue(kind)
    at, seen = 0, set()
    alive = False
    while not alive:
        at += 1
        pushed = _prepared(tmp_path / f"pushed-{at}", stores[:there])
        alive = not killed(pushed.directory, at, _push, pushed.directory, stores[2], there)
        current = pushed.current()
        number = current.number if current else 0
        seen.add(number)
        assert number in (there, there + 1)
        assert all(version.number <= number for version in pushed.versions())
        _check_whole(pushed)

        following = pushed.push(stores[3], "candidate", number, keep=1)
        assert following.new and following.number > number
        assert pushed.current() == pushed.version(following.number)
        _check_whole(pushed)
        visible = {p.name for p in Path(pushed.directory).iterdir()} - {"history.jsonl"}
        kept = {str(n) for n in (number, following.number) if n}
        assert visible == {"CURRENT", ".lock", *kept}
    assert seen == {there, there + 1}
    assert at > 20  # it did die at many places


def _push_some(directory: str, uris: list[str]) -> None:
    pushed = PushedVersions(directory)
    for uri in uris:
        while True:
            current = pushed.current()
            try:
                pushed.push(uri, uri, current.number if current else 0, keep=99)
                break
            except BeamfleetError as error:
                assert "is current in" in str(error)


def test_concurrent_pushes_are_one_after_the_other(tmp_path):
    directory = str(tmp_path / "pushed")
    context = multiprocessing.get_context("fork")
    shares = [
        [make_store(tmp_path / f"{who}-{i}", {"": who + i / 10}) for i in range(3)]
        for who in range(4)
    ]
    workers = [context.Process(target=_push_some, args=(directory, share)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    pushed = PushedVersions(directory)
    assert [v.number for v in pushed.versions()] == list(range(1, 13))
    assert {v.details["candidate_uri"] for v in pushed.versions()} == {u for s in shares for u in s}
    assert [v.details["previous_version"] for v in pushed.versions()] == list(range(12))


def test_reader_sees_a_whole_version_while_others_push(tmp_path, stores):
    directory = str(tmp_path / "pushed")
    pushed = _prepared(Path(directory), stores[:1])
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=_push_some, args=(directory, stores[1:] * 5))
    worker.start()
    while worker.is_alive():
        current = pushed.current()
        assert current is not None
        EntityModels(current.path).model("Bachelors")
    assert worker.exitcode == 0


def test_held_lock_is_waited_for_and_then_named(tmp_path, stores, monkeypatch):
    pushed = _prepared(tmp_path / "pushed", stores[:1])
    monkeypatch.setattr(versions_module, "_LOCK_WAIT_S", 0.1)
    with exclusive(Path(pushed.directory, ".lock"), 1.0):
        started = time.monotonic()
        with pytest.raises(BeamfleetError, match=f"held by process {os.getpid()}"):
            pushed.push(stores[1], "candidate", 1, keep=5)
        assert time.monotonic() - started >= 0.1
    assert pushed.push(stores[1], "candidate", 1, keep=5).number == 2
