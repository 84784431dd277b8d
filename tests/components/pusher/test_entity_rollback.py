"""One entity gets the model that it had before; every other model stays, byte for byte."""

import json
import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.model_server.served import ServedModels
from components.pusher.entity_rollback import rollback_entities
from components.pusher.stores import open_store
from components.pusher.traffic import traffic_plan
from components.pusher.versions import PushedVersions, Version
from tests.components.ensemble.bundles import make_bundle
from tests.components.pusher.killing import killed
from tests.components.pusher.stores import make_store

FIRST = {"north": 1.0, "south": 1.0, "": 0.5}


@pytest.fixture
def pushed(tmp_path: Path) -> PushedVersions:
    return PushedVersions(str(tmp_path / "pushed"))


def push(pushed: PushedVersions, values: Mapping[str, float], keep: int = 9) -> Version:
    current = pushed.current()
    number = current.number if current else 0
    uri = make_store(Path(pushed.directory).parent / f"store-{os.urandom(4).hex()}", values)
    return pushed.push(uri, uri, number, keep)


def served(version: Version | None) -> dict[str, float]:
    """Value of every entity's own model; "" is the fallback."""
    assert version is not None
    models = EntityModels(version.path)
    models.check()
    rows = models.index().to_pylist()
    return {r["entity"]: models.model(r["entity"])[0].value for r in rows}  # type: ignore[attr-defined]


def last_change(pushed: PushedVersions) -> dict[str, str]:
    return json.loads(Path(pushed.directory, "history.jsonl").read_text().splitlines()[-1])


def test_only_that_entity_goes_back(pushed: PushedVersions) -> None:
    push(pushed, FIRST)
    push(pushed, {"north": 2.0, "south": 2.0, "": 0.7})
    version = rollback_entities(pushed.directory, ["north"], why="fewer right answers")
    assert version.new
    assert pushed.current() == pushed.version(version.number)
    assert version.number == 3
    assert served(version) == {"north": 1.0, "south": 2.0, "": 0.7}
    assert served(pushed.version(2)) == {"north": 2.0, "south": 2.0, "": 0.7}
    assert version.details["entity_rollbacks"] == {"north": 1}
    assert version.details["previous_version"] == 2
    assert version.details["store_fingerprint"] == EntityModels(version.path).fingerprint
    change = last_change(pushed)
    assert (change["action"], change["from"], change["to"]) == ("rollback", 2, 3)
    assert (change["entity"], change["models_of"]) == ("north", "1")
    assert change["why"] == "fewer right answers"
    assert pushed.rollback().number == 2  # undone as a whole


def test_the_last_other_model_is_meant_not_the_last_version(pushed: PushedVersions) -> None:
    push(pushed, FIRST)
    push(pushed, {**FIRST, "north": 2.0})
    push(pushed, {**FIRST, "north": 2.0, "south": 3.0})
    assert served(rollback_entities(pushed.directory, ["north"]))["north"] == 1.0
    with pytest.raises(BeamfleetError, match="'north' has had no other model"):
        rollback_entities(pushed.directory, ["north"])  # and not to the bad one


def test_again_goes_further_back_also_over_a_push(pushed: PushedVersions) -> None:
    for value in (1.0, 2.0, 3.0):
        push(pushed, {**FIRST, "north": value})
    assert served(rollback_entities(pushed.directory, ["north"]))["north"] == 2.0
    push(pushed, {**FIRST, "north": 2.0, "south": 4.0})  # keeps the model of north
    version = rollback_entities(pushed.directory, ["north"])
    assert served(version) == {"north": 1.0, "south": 4.0, "": 0.5}


def test_several_at_once_and_a_version_that_is_named(pushed: PushedVersions) -> None:
    push(pushed, {"north": 1.0, "south": 1.0, "west": 1.0, "": 0.5})
    push(pushed, {"north": 2.0, "south": 2.0, "west": 1.0, "": 0.5})
    push(pushed, {"north": 3.0, "south": 2.0, "west": 3.0, "": 0.5})
    version = rollback_entities(pushed.directory, ["north", "south"])
    assert version.details["entity_rollbacks"] == {"north": 2, "south": 1}
    assert served(version) == {"north": 2.0, "south": 1.0, "west": 3.0, "": 0.5}
    assert served(rollback_entities(pushed.directory, ["west"], to=2))["west"] == 1.0
    with pytest.raises(BeamfleetError, match="the same model in version 1"):
        rollback_entities(pushed.directory, ["west"], to=1)
    with pytest.raises(BeamfleetError, match="no version 9; choose one of: 1, 2, 3, 4, 5"):
        rollback_entities(pushed.directory, ["west"], to=9)


def test_a_new_entity_goes_back_to_the_fallback(pushed: PushedVersions) -> None:
    push(pushed, {"south": 1.0, "": 0.5})
    push(pushed, FIRST)
    assert served(rollback_entities(pushed.directory, ["north"])) == {"south": 1.0, "": 0.5}
    push(pushed, {"north": 1.0})
    with pytest.raises(BeamfleetError, match="no fallback that could serve it"):
        rollback_entities(pushed.directory, ["north"])


def test_what_cannot_be_rolled_back_is_said(pushed: PushedVersions, tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="nothing was pushed"):
        rollback_entities(pushed.directory, ["north"])
    push(pushed, FIRST)
    with pytest.raises(BeamfleetError, match=r"'north' has had no other model .* in version 1"):
        rollback_entities(pushed.directory, ["north"])
    with pytest.raises(BeamfleetError, match="'nowhere' has had no model of its own"):
        rollback_entities(pushed.directory, ["nowhere"])
    push(pushed, {**FIRST, "north": 2.0})
    push(pushed, {**FIRST, "north": 2.0, "south": 2.0}, keep=1)
    with pytest.raises(BeamfleetError, match=r"version 1, .* was removed; choose by --to"):
        rollback_entities(pushed.directory, ["north"])
    with pytest.raises(BeamfleetError, match=r"version 3 is current .* now, not 2 that was judged"):
        rollback_entities(pushed.directory, ["south"], expected=2)
    other = PushedVersions(str(tmp_path / "other"))
    for number in range(2):
        other.push(make_bundle(tmp_path / f"bundle-{number}", number), "x", number, 9)
    with pytest.raises(BeamfleetError, match="an ensemble, which has no entities"):
        rollback_entities(other.directory, ["north"])
    assert [v.number for v in pushed.versions()] == [2, 3]


def test_a_challenger_is_decided_on_first(pushed: PushedVersions, tmp_path: Path) -> None:
    push(pushed, FIRST)
    push(pushed, {**FIRST, "north": 2.0})
    uri = make_store(tmp_path / "challenger", {**FIRST, "north": 3.0})
    plan = traffic_plan(shares={"champion": 90, "challenger": 10})
    pushed.push(uri, uri, 2, 9, plan)
    with pytest.raises(BeamfleetError, match="beamfleet promote"):
        rollback_entities(pushed.directory, ["north"])
    pushed.rollback()
    assert served(rollback_entities(pushed.directory, ["north"]))["north"] == 1.0


def test_the_next_candidate_is_a_new_contest(pushed: PushedVersions) -> None:
    push(pushed, FIRST)
    second = push(pushed, {**FIRST, "north": 2.0})
    candidate = second.details["candidate_uri"]
    assert pushed.baseline_for(candidate) == 1
    rollback_entities(pushed.directory, ["north"])
    assert pushed.baseline_for(candidate) == 3
    with pytest.raises(BeamfleetError, match="pushing would undo it"):
        pushed.push(candidate, candidate, 1, 9)


def test_a_server_takes_it_up(pushed: PushedVersions) -> None:
    push(pushed, FIRST)
    push(pushed, {**FIRST, "north": 2.0})
    models = ServedModels(pushed.directory, 1 << 20)
    rollback_entities(pushed.directory, ["north"])
    assert models.refresh()
    assert models.served.version == "3"


def test_killed_anywhere_it_happened_or_it_did_not(tmp_path: Path) -> None:
    at, seen, alive = 0, set(), False
    while not alive:
        at += 1
        pushed = PushedVersions(str(tmp_path / f"{at}" / "pushed"))
        push(pushed, FIRST)
        push(pushed, {**FIRST, "north": 2.0})
        alive = not killed(pushed.directory, at, rollback_entities, pushed.directory, ["north"])
        current = pushed.current()
        assert current is not None
        seen.add(current.number)
        assert served(current)["north"] == {2: 2.0, 3: 1.0}[current.number]
        for version in pushed.versions():
            assert open_store(version.path).fingerprint == version.details["store_fingerprint"]
        if current.number == 2:
            assert served(rollback_entities(pushed.directory, ["north"]))["north"] == 1.0
        assert last_change(pushed)["action"] == "rollback" or current.number == 3
        folders = {p.name for p in Path(pushed.directory).iterdir() if not p.name.startswith(".c")}
        assert not [name for name in folders if name.startswith(".staged")] or current.number == 3
    assert seen == {2, 3}
    assert at > 10


def _push_some(directory: str, stores: list[str]) -> None:
    pushed = PushedVersions(directory)
    for uri in stores:
        while True:
            current = pushed.current()
            try:
                pushed.push(uri, uri, current.number if current else 0, keep=99)
                break
            except BeamfleetError as error:
                assert "is current in" in str(error)


def _roll_back_some(directory: str, times: int) -> None:
    done = 0
    while done < times:
        current = PushedVersions(directory).current()
        assert current is not None
        try:
            rollback_entities(directory, ["north"], expected=current.number)
            done += 1
        except BeamfleetError as error:
            said = str(error)
            if "no other model" in said:  # back at the first already
                done += 1
            else:
                assert "that was judged" in said


def test_beside_pushes_every_version_is_one_or_the_other(tmp_path: Path) -> None:
    pushed = PushedVersions(str(tmp_path / "pushed"))
    push(pushed, FIRST)
    push(pushed, {**FIRST, "north": 2.0})
    context = multiprocessing.get_context("fork")
    stores = [
        make_store(tmp_path / f"s{n}", {"north": n + 10.0, "south": n + 10.0, "": 0.5})
        for n in range(6)
    ]
    workers = [
        context.Process(target=_push_some, args=(pushed.directory, stores)),
        context.Process(target=_roll_back_some, args=(pushed.directory, 6)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    versions = pushed.versions()
    assert [v.number for v in versions] == list(range(1, len(versions) + 1))
    by_number = {v.number: served(v) for v in versions}
    for version in versions[2:]:
        before, after = by_number[version.number - 1], by_number[version.number]
        if rolled := version.details.get("entity_rollbacks"):
            assert after == {**before, "north": by_number[rolled["north"]]["north"]}
            assert after["north"] != before["north"]
        else:
            assert after["north"] == after["south"] >= 10
    assert sum("entity_rollbacks" in v.details for v in versions) >= 1
