"""A challenger beside the champion: terms, pushing, promoting, rolling back, being killed."""

import contextlib
import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.pusher.directory import Pointer, PushedDirectory
from components.pusher.push import Candidate, PushRequest, push_now
from components.pusher.splits import SplitRunningError, promote, running_split, stop
from components.pusher.traffic import (
    Split,
    StopRule,
    TrafficPlan,
    new_split,
    split_from,
    traffic_plan,
)
from components.pusher.versions import PushedVersions, Version
from tests.components.ensemble.bundles import make_bundle
from tests.components.pusher.killing import killed
from tests.components.pusher.stores import make_store

SHARES = {"champion": 90, "challenger": 10}
PLAN = traffic_plan(SHARES)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("models")
    return [make_store(folder / str(i), {"Bachelors": i, "": 0.5}) for i in range(5)]


@pytest.fixture
def pushed(tmp_path: Path) -> PushedVersions:
    return PushedVersions(str(tmp_path / "pushed"))


def push(
    pushed: PushedVersions, uri: str, plan: TrafficPlan | None = None, keep: int = 9
) -> Version:
    current = pushed.current()
    return pushed.push(uri, f"made {uri}", current.number if current else 0, keep, plan)


def state(pushed: PushedVersions) -> tuple[int, int, str]:
    """Numbers of champion and challenger (0: none), and what the split is."""
    champion, split = pushed.traffic()
    return (
        champion.number if champion else 0,
        split.challenger if split else 0,
        split.state() if split else "none",
    )


def history(pushed: PushedVersions) -> list[dict[str, object]]:
    lines = Path(pushed.directory, "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_first_push_is_the_champion_and_the_next_its_challenger(pushed, stores):
    first = push(pushed, stores[0], PLAN)
    assert (first.label, state(pushed)) == ("champion", (1, 0, "none"))
    second = push(pushed, stores[1], PLAN)
    assert (second.number, second.label, second.new) == (2, "challenger", True)
    assert state(pushed) == (1, 2, "running")
    assert pushed.current().number == 1  # what predicts, and what candidates are compared with
    assert pushed.baseline_for("another candidate") == 1
    assert second.details["previous_version"] == 1


def test_promote_makes_it_the_champion_and_ends_the_split(pushed, stores):
    for store in stores[:2]:
        push(pushed, store, PLAN)
    assert promote(pushed.directory, why="a good week").number == 2
    assert state(pushed) == (2, 0, "none")
    last = history(pushed)[-1]
    assert {k: last[k] for k in ("action", "from", "to", "label", "why")} == {
        "action": "promote", "from": 1, "to": 2, "label": "challenger", "why": "a good week"
    }  # fmt: skip
    assert last["by"] and datetime.fromisoformat(str(last["time"])).tzinfo
    assert pushed.rollback().number == 1


def test_what_cannot_be_promoted_is_said(pushed, stores):
    push(pushed, stores[0])
    with pytest.raises(BeamfleetError, match="no challenger to promote: version 1 gets all"):
        promote(pushed.directory)
    push(pushed, stores[1], traffic_plan({"champion": 1, "next": 1}))
    with pytest.raises(BeamfleetError, match="no challenger 'challenger'; there is 'next', ver"):
        promote(pushed.directory, "challenger")
    assert promote(pushed.directory, "next").number == 2


def test_rollback_ends_a_split_and_leaves_the_champion(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1])
    push(pushed, stores[2], PLAN)
    assert pushed.rollback(why="no").number == 2
    assert state(pushed) == (2, 0, "none")
    assert (history(pushed)[-1]["from"], history(pushed)[-1]["to"]) == (3, 2)
    assert pushed.rollback().number == 1  # as without a split
    with pytest.raises(BeamfleetError, match="no version 9"):
        pushed.rollback(to=9)


def test_rollback_to_a_version_ends_the_split_too(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1], PLAN)
    assert pushed.rollback(to=1).number == 1
    assert state(pushed) == (1, 0, "none")


def test_nothing_is_pushed_over_a_running_split(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1], PLAN)
    for plan in (None, PLAN):
        with pytest.raises(SplitRunningError, match="version 2 is the challenger of version 1"):
            push(pushed, stores[2], plan)
    assert running_split(pushed.directory, "another candidate")
    assert running_split(pushed.directory, f"made {stores[1]}") == ""
    request = PushRequest(Candidate(stores[2], stores[2], 1), pushed.directory, 5, PLAN)
    outcome = push_now(request)  # the run goes on, and says why
    assert (outcome.pushed, outcome.version) == (False, 1)
    assert "`beamfleet promote`" in outcome.reason
    pushed.rollback()
    assert running_split(pushed.directory, "another candidate") == ""
    assert push(pushed, stores[2], PLAN).number == 3


def test_what_is_the_challenger_already_gets_the_new_terms(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1], PLAN)
    _, before = pushed.traffic()
    assert push(pushed, stores[1], PLAN).new is False
    assert len(history(pushed)) == 2
    half = traffic_plan({"champion": 1, "challenger": 1})
    again = push(pushed, stores[1], half)
    assert (again.number, again.new, again.label) == (2, False, "challenger")
    _, split = pushed.traffic()
    assert (split.plan, split.id) == (half, before.id)
    assert history(pushed)[-1]["action"] == "split"


def test_a_stopped_challenger_stays_stopped(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1], PLAN)
    _, split = pushed.traffic()
    assert stop(pushed.directory, "0" * 32, "wrong split", 1) is False
    assert stop(pushed.directory, split.id, "too slow", 1) is True
    assert stop(pushed.directory, split.id, "again", 1) is False
    assert state(pushed) == (1, 2, "stopped")
    _, split = pushed.traffic()
    assert split.stopped == "too slow" and history(pushed)[-1]["why"] == "too slow"
    assert push(pushed, stores[1], traffic_plan({"champion": 1, "challenger": 1})).new is False
    assert state(pushed) == (1, 2, "stopped")
    assert push(pushed, stores[2], PLAN).number == 3  # the next one gets its chance
    assert state(pushed) == (1, 3, "running")


def test_keep_never_takes_a_labelled_version(pushed, stores):
    push(pushed, stores[0])
    push(pushed, stores[1], PLAN, keep=1)
    assert [v.number for v in pushed.versions()] == [1, 2]
    promote(pushed.directory)
    push(pushed, stores[2], PLAN, keep=1)
    assert [v.number for v in pushed.versions()] == [2, 3]


def test_a_split_that_is_over_before_it_begins_is_refused(pushed, stores):
    with pytest.raises(BeamfleetError, match="has passed"):
        push(pushed, stores[0], traffic_plan(SHARES, end="2020-01-01T00:00Z"))
    assert pushed.current() is None


def test_an_ensemble_is_no_shadow(pushed, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", 1)
    with pytest.raises(BeamfleetError, match="cannot be a shadow"):
        push(pushed, bundle, traffic_plan({"champion": 1, "challenger": 0}, shadow=True))


def test_the_window_decides_the_state():
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    plan = traffic_plan(SHARES, start=now - hour, end=(now + hour).isoformat())
    split = new_split(plan, 1, 2)
    found = [split.state(now + k * hour) for k in (-2, -1, 0, 1)]
    assert found == ["waiting", "running", "running", "over"]


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"shares": {"champion": 1}}, "one other"),
        ({"shares": {"champion": 1, "a": 1, "b": 1}}, "one other"),
        ({"shares": {"a": 1, "b": 1}}, "one other"),
        ({"shares": {"champion": 1, "A b": 1}}, "must be lower-case"),
        ({"shares": {"champion": 1, "b": -1}}, "a number from 0"),
        ({"shares": {"champion": 1, "b": float("nan")}}, "a number from 0"),
        ({"shares": {"champion": 1, "b": True}}, "a number from 0"),
        ({"shares": {"champion": 1, "b": "9"}}, "a number from 0"),
        ({"shares": {"champion": 1, "b": 10**400}}, "a number from 0"),
        ({"shares": {"champion": 0, "b": 1}}, "push without traffic"),
        ({"shares": {"champion": 1, "b": 0}}, "a shadow has share 0"),
        ({"shares": {"champion": 1, "b": 1}, "shadow": True}, "a shadow has share 0"),
        ({"shares": SHARES, "by": "moon"}, "entity or request"),
        ({"shares": SHARES, "start": "2026-01-01"}, "with its zone"),
        ({"shares": SHARES, "end": "tomorrow"}, "with its zone"),
        ({"shares": SHARES, "start": 7}, "with its zone"),
        (
            {"shares": SHARES, "start": "2026-01-02T00:00Z", "end": "2026-01-02T00:00Z"},
            "must be before",
        ),
        ({"shares": SHARES, "stop_rule": {}}, "needs max_error_share or"),
        ({"shares": SHARES, "stop_rule": {"max_errors": 1}}, "stop_rule takes"),
        ({"shares": SHARES, "stop_rule": {"max_error_share": 1}}, "from 0 to below 1"),
        ({"shares": SHARES, "stop_rule": {"max_p99_ms": 0}}, "above 0"),
        ({"shares": SHARES, "stop_rule": {"max_p99_ms": 9, "min_requests": 0}}, ">= 1"),
    ],
)
def test_terms_without_sense_are_refused(terms, says):
    with pytest.raises(BeamfleetError, match=says):
        traffic_plan(**terms)


_ZONED = st.datetimes(timezones=st.just(UTC))
_PLANS = st.builds(
    TrafficPlan,
    shares=st.tuples(st.floats(1e-3, 1e9), st.integers(1, 10**9)).map(
        lambda s: (("champion", s[0]), ("rival", s[1]))
    ),
    by=st.sampled_from(["", "entity", "request"]),
    start=st.none() | _ZONED,
    stop_rule=st.none() | st.builds(StopRule, st.floats(0, 0.99), st.floats(1, 1e6)),
)


@settings(deadline=None, max_examples=50)
@given(plan=_PLANS, stopped=st.text(max_size=5))
def test_what_is_written_is_read(plan, stopped):
    split = Split("0" * 32, (("champion", 3), ("rival", 7)), plan, stopped, "t" if stopped else "")
    assert split_from(json.loads(json.dumps(split.to_dict())), 3, 7) == split


GOOD = new_split(PLAN, 1, 2).to_dict()


@pytest.mark.parametrize(
    "changed",
    [
        {"shares": None}, {"shares": [1]}, {"labels": None}, {"labels": {"champion": 1}},
        {"labels": {"champion": 2, "challenger": 1}}, {"labels": {"champion": 1, "challenger": 9}},
        {"labels": {"champion": 1, "challenger": 1}}, {"labels": {"champion": 1, "other": 2}},
        {"labels": {"champion": 1, "challenger": "../../etc"}}, {"shadow": 0}, {"by": None},
        {"by": []}, {"start": "now"}, {"start": 5}, {"stop_rule": 5}, {"stop_rule": {"x": 1}},
        {"stop_rule": {"max_p99_ms": []}}, {"stopped": True}, {"stopped": {"reason": 1, "time": 2}},
        {"id": "../x"}, {"id": None}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_hostile_manifest_is_refused_and_mended(pushed, stores, changed):
    for store in stores[:2]:
        push(pushed, store)
    content = {"version": 1, "highest": 2, "traffic": {**GOOD, **changed}}
    Path(pushed.directory, "CURRENT").write_text(json.dumps(content))
    with pytest.raises(BeamfleetError, match=r"CURRENT is broken: .* roll back to one of: 1, 2"):
        pushed.traffic()
    with pytest.raises(BeamfleetError, match="CURRENT is broken"):
        promote(pushed.directory)
    assert pushed.rollback(to=1).number == 1
    assert state(pushed) == (1, 0, "none")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner),
    max_leaves=9,
)


@settings(deadline=None, max_examples=200)
@given(content=_JSON)
def test_any_json_is_a_split_or_a_clear_error(content):
    for tried in (content, {**GOOD, **(content if isinstance(content, dict) else {})}):
        with contextlib.suppress(BeamfleetError):
            split_from(tried, 1, 2)


def _act(directory: str, action: str) -> None:
    if action == "promote":
        promote(directory, why="w")
    elif action == "rollback":
        PushedVersions(directory).rollback(why="w")
    else:
        _, split = PushedVersions(directory).traffic()
        stop(directory, split.id if split else "", "w", 1)


@pytest.mark.parametrize(
    ("action", "after"),
    [("promote", (2, 0, "none")), ("rollback", (1, 0, "none")), ("stop", (1, 2, "stopped"))],
)
def test_killed_anywhere_all_is_old_or_all_is_new(tmp_path, stores, action, after):
    at, seen, alive = 0, set(), False
    while not alive:
        at += 1
        pushed = PushedVersions(str(tmp_path / f"pushed-{at}"))
        for store in stores[:2]:
            push(pushed, store, PLAN)
        alive = not killed(pushed.directory, at, _act, pushed.directory, action)
        found = state(pushed)
        assert found in ((1, 2, "running"), after)
        seen.add(found)
        if found == after:
            pushed.rollback(to=1)
            push(pushed, stores[2])
            assert {"why": "w"}.items() <= history(pushed)[2].items()  # not lost with the process
    assert seen == {(1, 2, "running"), after}
    assert at >= 4


def _in_turn(directory: str, action: str, barrier: object, told: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    try:
        _act(directory, action)
        told.put(action)  # type: ignore[attr-defined]
    except Exception as error:
        told.put(str(error))  # type: ignore[attr-defined]


def test_of_two_who_promote_at_once_one_is_refused(tmp_path, stores):
    context = multiprocessing.get_context("fork")
    pushed = PushedVersions(str(tmp_path / "pushed"))
    for store in stores[:2]:
        push(pushed, store, PLAN)
    barrier, told = context.Barrier(4), context.SimpleQueue()
    for _ in range(4):
        context.Process(target=_in_turn, args=(pushed.directory, "promote", barrier, told)).start()
    said = [told.get() for _ in range(4)]
    assert said.count("promote") == 1
    assert sum("no challenger to promote" in one for one in said) == 3
    assert [r["action"] for r in history(pushed)].count("promote") == 1
    assert state(pushed) == (2, 0, "none")


def test_an_older_pointer_is_read(tmp_path):
    (tmp_path / "CURRENT").write_text('{"version": 0, "highest": 3}')
    assert PushedDirectory(str(tmp_path)).pointer() == Pointer(0, 3)
