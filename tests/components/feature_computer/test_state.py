"""What has changed shows in the state of the node, and nothing else does."""

import os
import shutil
from pathlib import Path

import pytest

from components.errors import BeamfleetError
from components.feature_computer.compute import compute
from components.feature_computer.declared import declared, declared_source
from components.feature_computer.state import state
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.state import state as examples_state
from components.feature_store.store import FeatureStore
from components.outside import State
from tests.components.feature_computer import shop

SERVICE = "shop_features.returned"


def seen(project: Path) -> State:
    return state({"features": SERVICE, "store": str(project / "store")}, {})


def rows_seen() -> State:
    config = FeatureExamplesConfig(SERVICE, {"eval": "2024-01-02"}, "2024-01-03")
    return examples_state({"source": config.to_json(), "store": "nowhere"}, {})


def test_nothing_changes_while_nothing_changes(project: Path) -> None:
    before, rows = seen(project), rows_seen()
    compute(declared(SERVICE), FeatureStore(project / "store"), None)
    shop.forget()
    assert (seen(project), rows_seen()) == (before, rows)


def test_a_touched_file_changes_the_data_alone(project: Path) -> None:
    before, rows = seen(project), rows_seen()
    os.utime(project / "data" / "buys" / "part.parquet")
    changed = {name for name, value in seen(project).items() if value != before[name]}
    assert changed == {"data_fingerprint"}
    assert rows_seen()["input_fingerprint"] != rows["input_fingerprint"]


def test_labels_are_data_of_the_rows_alone(project: Path) -> None:
    before, rows = seen(project), rows_seen()
    shutil.copy(project / "data" / "returns" / "part.parquet", project / "data" / "returns" / "b")
    assert seen(project) == before and rows_seen() != rows


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('Rolling("1h")', 'Rolling("2h")'),
        ("LEAST = 0", "LEAST = 1"),
        ('pl.col("price") > LEAST', 'pl.col("price") >= LEAST'),
        ("version=1", "version=2"),
        ("max=1000", "max=900"),
        ("weekday() > 5", "weekday() > 4"),
    ],
)
def test_a_changed_definition_changes_the_definition_alone(
    project: Path, old: str, new: str
) -> None:
    before, rows = seen(project), rows_seen()
    shop.change(project, old, new)
    changed = {name for name, value in seen(project).items() if value != before[name]}
    assert changed == {"definition_fingerprint"}
    assert rows_seen()["definition_fingerprint"] != rows["definition_fingerprint"]


def test_a_comment_changes_nothing(project: Path) -> None:
    before, rows = seen(project), rows_seen()
    shop.change(project, "def priced(events):", "def priced(events):  # that cost something")
    assert (seen(project), rows_seen()) == (before, rows)


def test_another_store_in_its_place_shows(project: Path) -> None:
    before = seen(project)
    compute(declared(SERVICE), FeatureStore(project / "store"), None)
    assert seen(project) == before
    shutil.rmtree(project / "store")
    assert seen(project)["store_id"] != before["store_id"]


@pytest.mark.parametrize("lost", ["registry.db", "offline", "offline/spend/v1/current.json"])
def test_a_store_that_lost_something_shows_once(project: Path, lost: str) -> None:
    before = seen(project)
    compute(declared(SERVICE), FeatureStore(project / "store"), None)
    path = project / "store" / lost
    path.rename(project / "away")
    after = seen(project)
    assert after["store_id"] != before["store_id"]
    compute(declared(SERVICE), FeatureStore(project / "store"), None)
    assert path.exists() and seen(project) == after


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("returned", "'returned' is not the dotted path"),
        ("shop_features.lost", "has no 'lost', expected a feature service or view"),
        ("shop_features.buys", "is Source, expected a FeatureService or a FeatureView"),
        ("shop_feature.returned", "no module 'shop_feature'"),
    ],
)
def test_a_path_of_nothing_is_refused(project: Path, path: str, said: str) -> None:
    with pytest.raises(BeamfleetError, match=said):
        declared(path)


def test_a_module_that_fails_says_where(project: Path) -> None:
    shop.change(project, "LEAST = 0", "LEAST = 1 / 0")
    with pytest.raises(BeamfleetError, match=r"shop_features.py line \d+: ZeroDivisionError"):
        declared_source("shop_features.buys")


def test_a_source_without_files_is_named(project: Path) -> None:
    shutil.rmtree(project / "data" / "buys")
    with pytest.raises(BeamfleetError, match=r"source 'buys' has no files at .*data/buys"):
        seen(project)
