"""`beamfleet features`: what is registered, seen from the command line."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.feature_backfill.backfill import backfill
from components.feature_groups.stored import StoredGroup
from components.feature_registry import Registry
from components.features import Parquet
from pipelines import cli
from tests.components.feature_registry.declared import (
    BY,
    TXNS,
    group,
    on_demand,
    service,
    to_double,
    view,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline's root with a store: two versions of a view, a group, a service, a model."""
    root = tmp_path_factory.mktemp("runs") / "payments"
    events = root / "txns.parquet"
    root.mkdir()
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 3)]
    pl.DataFrame(
        {"card_id": ["a", "a", "a", "b"], "ts": days, "seen": days, "amount": [1.0, 2.0, 3.0, 9.0]}
    ).write_parquet(events)
    txns = replace(TXNS, batch=Parquet(events))
    old = view(sources=(txns,), description="Spent \x1b[31mred, [bold]<b>x</b>.")
    new = replace(old, version=4, transformer=replace(BY, event_transform=to_double), owner="fraud")
    registry = Registry(root / "features" / "registry.db")
    profile = group()
    registry.apply([service([old, on_demand(old)], labels=txns), profile])
    registry.apply([new])
    registry.link_training("fraud", 1, 2, "pushed/7", "monday")
    for one in (old, new):
        backfill(one, root / "features")
    StoredGroup(profile, root / "features").insert(
        pl.DataFrame({"card_id": ["a"], "updated_at": days[:1], "segment": ["gold"]})
    )
    return root


def beamfleet(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = cli.main(["features", *map(str, arguments)])
    taken = capsys.readouterr()
    return code, taken.out + taken.err


def documents(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    code, printed = beamfleet(capsys, *arguments, "--json")
    assert code == 0
    return json.loads(printed)


def test_list(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = beamfleet(capsys, "list", "--store", store)
    assert code == 0
    [line] = [line for line in printed.splitlines() if "card_spend" in line]
    assert "feature view" in line
    assert "mean_4h, count_4h" in line
    assert r"\x1b[31mred, [bold]<b>x</b>." in line  # neither the terminal nor rich obeys it
    assert "\x1b" not in printed
    found = documents(capsys, "list", "--store", store / "features", "--all-versions")
    assert [(d["name"], d["version"]) for d in found if d["kind"] == "view"] == [
        ("card_spend", 3), ("card_spend", 4),
    ]  # fmt: skip
    [only] = documents(capsys, "list", "--store", store, "--kind", "service")
    assert only["label"] == "is_fraud"


def test_search(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = documents(capsys, "search", "mean card", "--store", store)[0]
    assert (first["name"], first["found_in"][0]) == ("card_spend", "name")
    assert "nothing has all" in beamfleet(capsys, "search", "unheard", "--store", store)[1]


def test_show(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = beamfleet(capsys, "show", "card_spend@3", "--store", store)
    assert code == 0
    for words in (
        "card_spend@3 (also: 4)", "window          Rolling 4h", "reads           entity card@1",
        "read by         feature service fraud@1", "pushed/7 (split 2, run monday)",
        "mean_4h    float   Mean of value", "return events.with_columns(value=pl.col('amount'))",
    ):  # fmt: skip
        assert words in printed
    assert "\x1b" not in printed
    found = documents(capsys, "show", "card_spend", "--store", store)
    assert (found["version"], found["versions"], found["models"]) == (4, [3, 4], [])


def test_diff(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = beamfleet(capsys, "diff", "card_spend", 3, 4, "--store", store)
    assert code == 0
    assert "    +    return events.with_columns(value=pl.col('amount') * 2)" in printed
    assert 'besides:\n  owner: "risk" -> "fraud"' in printed
    found = documents(capsys, "diff", "card_spend", 3, 4, "--store", store)["differences"]
    assert [one["changes_values"] for one in found] == [True, False]
    assert "mean the same" in beamfleet(capsys, "diff", "card_spend", 3, 3, "--store", store)[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list",), "say which feature store: --store ROOT"),
        (("list", "--store", "nowhere"), "expected registry.db or features/registry.db"),
        (("show", "card_spand", "--store", "STORE"), "nearest: card_spend"),
        (("show", "card_spend@x", "--store", "STORE"), "expected NAME or NAME@VERSION"),
        (("show", "card_spend@9", "--store", "STORE"), "has no version 9; it has 3, 4"),
        (("search", " ", "--store", "STORE"), "TEXT is empty"),
        (("export", "--out", "STORE", "--store", "STORE"), "is not empty"),
    ],
)
def test_refusals(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    given = [str(store) if one == "STORE" else one for one in arguments]
    code, printed = beamfleet(capsys, *given)
    assert code == 1
    assert said in printed


@pytest.mark.parametrize("action", ["list", "search", "show", "diff", "export"])
def test_help_has_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["features", action, "--help"])
    assert f"examples:\n  beamfleet features {action}" in capsys.readouterr().out


def test_feast_reads_the_export(
    store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pd = pytest.importorskip("pandas")
    feast = pytest.importorskip("feast")
    out = tmp_path / "repo"
    made = documents(capsys, "export", "--out", out, "--store", store)
    moved = out.rename(tmp_path / "moved")  # nothing in it says where it was made
    assert set(made["views"]) == {"card_spend", "card_spend_v3", "profile"}
    assert any("drops label rows" in note for note in made["notes"])
    there = feast.FeatureStore(repo_path=str(moved))
    views = {one.name: one for one in there.list_feature_views()}
    assert {name: one.tags["version"] for name, one in views.items()} == {
        "card_spend": "4", "card_spend_v3": "3", "profile": "1",
    }  # fmt: skip
    assert (views["card_spend"].owner, views["card_spend"].ttl.days) == ("fraud", 1)
    [served] = there.list_feature_services()
    read = {one.name: [f.name for f in one.features] for one in served.feature_view_projections}
    assert read == {"card_spend_v3": ["mean_4h", "count_4h"]}
    times = ["2024-01-02 03:00", "2024-01-02 03:00", "2024-01-01 00:00", "2023-12-31 00:00"]
    at = pd.to_datetime(times, utc=True)
    labels = pd.DataFrame({"card_id": ["a"] * 4, "event_timestamp": at})
    features = ["card_spend:mean_4h", "profile:segment"]
    got = there.get_historical_features(labels, features).to_df().sort_values("event_timestamp")
    # The duplicate and the label of before the first value are dropped, as the notes say.
    assert got[["mean_4h", "segment"]].to_numpy().tolist() == [[2.0, "gold"], [4.0, "gold"]]


def test_looking_is_light(store: Path) -> None:
    heavy = ("polars", "pandas", "numpy", "tensorflow", "tfx", "apache_beam", "feast", "pyarrow")
    for arguments in (["list"], ["show", "fraud"], ["search", "card"]):
        program = (
            "import sys; from pipelines.cli import main; main(['features', *sys.argv[1:]]); "
            f"sys.exit(','.join(m for m in {heavy!r} if m in sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments, "--json", "--store", store],
            capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        assert done.stderr.strip() == ""
