"""docs/features.md works step by step."""

import importlib
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_registry import Registry
from components.feature_store.splits import ByTime
from components.feature_store.store import FeatureStore
from pipelines.projects import load_pipeline

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
MODULE = "night_features"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The reader's folder, with the files that the page names."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for block in blocks():
        if named := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / named[1]).write_text(block)
    importlib.invalidate_caches()
    yield tmp_path
    for name in (MODULE, "trip_features"):
        sys.modules.pop(name, None)


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_has_a_module_a_look_a_pipeline_own_data_and_imports() -> None:
    assert len(blocks()) == 5


def test_the_values_are_there_and_the_pipeline_is_accepted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(blocks()[1], {})
    said = capsys.readouterr().out
    assert "BackfillReport(rows_in=" in said and "spent_at_night" in said
    load_pipeline(str(folder / "night_pipeline.py"), folder / "runs" / "night").check()


def test_own_data_are_declared_as_the_page_says(folder: Path) -> None:
    at = [datetime(2024, 5, 1, hour, tzinfo=UTC) for hour in (8, 9, 10, 11)]
    rows = pl.DataFrame(
        {"company": ["a", "b"] * 2, "ts": at, "known": at, "trip_id": ["1", "2", "3", "4"],
         "fare": [10.0, 20.0, 30.0, 40.0], "miles": [1.0] * 4, "tipped": [0, 1] * 2}
    )  # fmt: skip
    for name in ("trips", "tips"):
        (folder / "data" / name).mkdir(parents=True)
        rows.write_parquet(folder / "data" / name / "a.parquet")
    declared: dict[str, Any] = vars(importlib.import_module("trip_features"))
    service = declared["tipped"]
    assert service.boundary == "inclusive"
    store = FeatureStore(folder / "own")
    store.apply(service)
    store.backfill()
    made = store.create_train_validation_test_split(service, ByTime(0.0, 0.0)).train
    assert made["company"].to_list() == ["a", "b", "a", "b"]
    assert made["fare_4h"].to_list() == [10.0, 20.0, 20.0, 30.0]
    store.materialize(declared["company_4h"])
    vector = store.get_feature_vector(service, {"company": "a"}, {"miles": 2.0})
    assert vector["company"] == "a" and vector["trips_4h"] == 0


def test_the_imports_of_the_page_are_there() -> None:
    names: dict[str, Any] = {}
    exec(blocks()[4], names)
    assert {"StoredGroup", "point_in_time_join", "run_stream", "FeatureVectors"} <= set(names)


def test_a_change_needs_a_version(folder: Path) -> None:
    exec(blocks()[1], {})
    text = (folder / f"{MODULE}.py").read_text()
    changed = text.replace("dt.hour() < 6", "dt.hour() < 7")
    for version, refused in (("", True), ("version=2, ", False)):
        new = changed.replace("entities=[card],", f"{version}entities=[card],")
        new = new.replace('boundary="strict",', f'boundary="strict", {version}')
        (folder / f"{MODULE}.py").write_text(new)
        sys.modules.pop(MODULE, None)
        importlib.invalidate_caches()
        if refused:
            with pytest.raises(BeamfleetError, match="view 'night_spend' version 1"):
                exec(blocks()[1], {})
        else:
            exec(blocks()[1], {})


def test_a_comment_is_no_change(folder: Path) -> None:
    exec(blocks()[1], {})
    file = folder / f"{MODULE}.py"
    file.write_text(file.read_text().replace("def at_night(events):", "def at_night(events):  # !"))
    sys.modules.pop(MODULE, None)
    importlib.invalidate_caches()
    names: dict[str, Any] = {}
    exec(blocks()[1], names)
    assert "# !" in file.read_text()
    registered = Registry(names["store"].root / "registry.db").versions("night_spend")
    assert [one.version for one in registered] == [1]
