"""Versions are recorded once; a change in silence is refused; models are found by their views."""

import multiprocessing
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.errors import BeamfleetError
from components.feature_registry import Registry
from components.features import Entity, Fresh, Lifetime, Parquet
from components.features.definition import fingerprint
from tests.components.feature_registry.declared import (
    BY,
    TXNS,
    group,
    many,
    on_demand,
    said,
    service,
    to_double,
    view,
)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "store" / "registry.db")


def outcomes(registry: Registry, *things: Any) -> dict[str, str]:
    return {one.record.name: one.outcome for one in registry.apply(things)}


def test_a_service_brings_all_that_it_reads(registry: Registry) -> None:
    spend = view()
    applied = registry.apply([service([spend, on_demand(spend), group()])])
    assert [(one.record.kind, one.record.name, one.record.version) for one in applied] == [
        ("entity", "card", 1),
        ("source", "txns", 1),
        ("view", "card_spend", 3),
        ("group", "profile", 1),
        ("on_demand", "spend_ratio", 1),
        ("service", "fraud", 1),
    ]
    there = registry.get("card_spend")
    assert (there.owner, there.description) == ("risk", "What a card spent.")
    assert there.schema == (("mean_4h", "float"), ("count_4h", "int"))
    assert there.fingerprint == fingerprint(spend)
    assert [(use.kind, use.name, use.version) for use in there.uses] == [
        ("entity", "card", 1), ("source", "txns", 1),
    ]  # fmt: skip
    assert there.applied.endswith("+00:00")


def test_the_same_again_is_nothing(registry: Registry) -> None:
    registry.apply([view()])
    before = registry.records()
    assert set(outcomes(registry, view()).values()) == {"unchanged"}
    assert registry.records() == before


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "fraud team"},
        {"description": "Else."},
        {"online": False},
        {"expectations": (Fresh("1d"),)},
        {"sources": (replace(TXNS, batch=Parquet("elsewhere")),)},
    ],
    ids=said,
)
def test_what_is_no_meaning_changes_without_a_version(registry: Registry, change: Any) -> None:
    registry.apply([view()])
    changed = outcomes(registry, view(**change))
    assert list(changed.values()).count("updated") == 1
    assert [one.version for one in registry.versions("card_spend")] == [3]
    assert set(outcomes(registry, view(**change)).values()) == {"unchanged"}


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"ttl_us": 5}, ["ttl_us: 86400000000 -> 5"]),
        ({"schema": {"mean_4h": float, "count_4h": float}}, ['schema.count_4h: "int" -> "float"']),
        ({"entities": (Entity("card", keys=["pan"]),)}, ['card_id", "str"]] -> [["pan']),
        (
            {"transformer": replace(BY, window=Lifetime())},
            ["window.size_us: 14400000000 -> (none)"],
        ),
        (
            {"transformer": replace(BY, event_transform=to_double)},
            [
                "event_transforms[0]:",
                "-    return events.with_columns(value=pl.col('amount'))",
                "+    return events.with_columns(value=pl.col('amount') * 2)",
            ],
        ),
    ],
    ids=said,
)
def test_another_definition_needs_another_version(
    registry: Registry, change: Any, lines: list[str]
) -> None:
    registry.apply([view()])
    before = registry.records()
    with pytest.raises(BeamfleetError, match=r"Raise it to version=4") as refused:
        registry.apply([group(), view(**change)])
    for line in lines:
        assert line in str(refused.value)
    assert [one for one in registry.records() if one.kind != "entity"] == [
        one for one in before if one.kind != "entity"
    ]  # the group neither
    assert outcomes(registry, view(**change, version=4))["card_spend"] == "new"
    assert [one.version for one in registry.versions("card_spend")] == [3, 4]


def test_an_older_version_may_be_applied_only_as_it_was(registry: Registry) -> None:
    registry.apply([view()])
    registry.apply([view(version=7, ttl_us=5)])
    assert outcomes(registry, view())["card_spend"] == "unchanged"
    with pytest.raises(BeamfleetError, match="version 3 was registered with another"):
        registry.apply([view(ttl_us=5)])
    with pytest.raises(BeamfleetError, match="version 5 was never registered, and version 7 is"):
        registry.apply([view(version=5)])
    assert registry.get("card_spend").version == 7


def test_a_service_of_a_changed_view_needs_a_version_too(registry: Registry) -> None:
    registry.apply([service([view()])])
    with pytest.raises(
        BeamfleetError, match=r"'fraud' version 1 was.*another(.|\n)*version: 3 -> 4"
    ):
        registry.apply([service([view(version=4)])])


def test_sources_and_entities_are_numbered_by_the_registry(registry: Registry) -> None:
    registry.apply([view()])
    registry.apply([view(version=4, sources=(replace(TXNS, id="txn"),))])
    assert [one.version for one in registry.versions("txns")] == [1, 2]
    assert [use.version for use in registry.get("card_spend", 3).uses] == [1, 1]
    assert [use.version for use in registry.get("card_spend", 4).uses] == [1, 2]
    assert outcomes(registry, view())["txns"] == "unchanged"


def test_lineage_from_views_to_models_and_back(registry: Registry) -> None:
    old, new = view(), view(version=4, ttl_us=5)
    registry.apply([service([old["count_4h"], on_demand(old)])])
    registry.apply([service([new], version=2)])
    registry.link_training("fraud", 1, 1, "pushed/1", "monday")
    registry.link_training("fraud", 1, 1, "pushed/1", "monday")
    registry.link_training("fraud", 2, 1, "pushed/2", "tuesday")
    assert [one.model for one in registry.models_of("card_spend")] == ["pushed/1", "pushed/2"]
    assert [one.model for one in registry.models_of("card_spend", 4)] == ["pushed/2"]
    [read] = registry.views_of("pushed/1")  # also what the on-demand view reads
    assert (read.view, read.version, set(read.features)) == (
        "card_spend", 3, {"count_4h", "mean_4h"},
    )  # fmt: skip
    assert (read.service, read.service_version) == ("fraud", 1)
    with pytest.raises(BeamfleetError, match="no version 9"):
        registry.link_training("fraud", 9, 1, "pushed/3")
    with pytest.raises(BeamfleetError, match="'pushed/7' is linked"):
        registry.views_of("pushed/7")


@pytest.mark.parametrize(
    ("text", "first", "where"),
    [
        ("card_spend", "card_spend", "name"),
        ("mean_4h", "card_spend", "feature mean_4h"),
        ("SPEND mean", "card_spend", "name"),
        ("txns", "txns", "name"),
        ("crm", "profile", "owner"),
        ("payment card", "card", "description"),
        ("seen", "txns", "column seen"),
        ("spent", "card_spend", "description"),
        ("is_fraud", "fraud", "column is_fraud"),
    ],
)
def test_search(registry: Registry, text: str, first: str, where: str) -> None:
    spend = view()
    registry.apply([service([spend, on_demand(spend), group()])])
    best = registry.search(text)[0]
    assert best.record.name == first
    assert where in best.where
    assert not registry.search(f"{text} nowhere")


def test_nothing_there_is_said(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="no registry of features at"):
        registry.records()
    assert not registry.path.exists()
    registry.apply([view()])
    with pytest.raises(BeamfleetError, match=r"nothing is called 'spend'.*nearest: card_spend"):
        registry.get("spend")
    with pytest.raises(BeamfleetError, match="has no version 9; it has 3"):
        registry.get("card_spend", 9)
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE mine (a)")
    with pytest.raises(BeamfleetError, match="is no registry of features"):
        Registry(other).apply([view()])
    other.write_bytes(b"no database at all, but a text of some length" * 30)
    with pytest.raises(BeamfleetError, match=r"other\.db"):
        Registry(other).records()


def _apply(path: Path, number: int) -> str:
    spend = view(version=1)
    mine = replace(view(version=1), name=f"view_{number}")
    for _ in range(5):
        Registry(path).apply([spend, mine])
        Registry(path).search("spend")
    return "done"


def test_several_processes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    with multiprocessing.get_context("fork").Pool(6) as pool:
        assert pool.starmap(_apply, [(path, n) for n in range(12)]) == ["done"] * 12
    names = [one.name for one in Registry(path).records("view")]
    assert names == sorted(["card_spend", *(f"view_{n}" for n in range(12))])


@pytest.mark.parametrize("after_s", [0, 0.03])
def test_a_killed_process_leaves_all_or_nothing(tmp_path: Path, after_s: float) -> None:
    path = tmp_path / "registry.db"
    script = (
        "import sys; from components.feature_registry import Registry\n"
        "from tests.components.feature_registry.declared import many\n"
        "things = many(); print('ready', flush=True)\n"
        "for n in range(100): Registry(sys.argv[1] + str(n)).apply(things)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while not (tmp_path / "registry.db2").exists():  # two are whole; it is somewhere in the third
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(after_s)
    process.kill()
    process.wait()
    left = [file for file in tmp_path.glob("registry.db*") if "-" not in file.name]
    assert len(left) >= 3
    for file in left:
        try:
            assert len(Registry(file).records()) == 421
        except BeamfleetError as error:
            assert "is no registry" in str(error)  # nothing in it yet
        assert {one.outcome for one in Registry(file).apply(many())} <= {"new", "unchanged"}


def _best(of: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(5):
        start = time.process_time()
        of()
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_it_is_quick_at_200_sources_and_1000_features(registry: Registry) -> None:
    things = many()
    registry.apply(things)
    assert sum(len(one.schema) for one in registry.records("view")) == 1000
    assert _best(lambda: registry.apply(things)) < 0.25  # 0.07 on a quiet machine
    assert _best(registry.records) < 0.1
    assert _best(lambda: registry.search("mean_17 spending")) < 0.1
