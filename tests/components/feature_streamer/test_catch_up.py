"""The stream goes on where the history ends, and says what a backfill says; else the node fails."""

from pathlib import Path

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_computer.declared import declared
from components.feature_store.store import FeatureStore
from components.feature_streamer.catch_up import Streamed, catch_up
from components.feature_streamer.state import state
from tests.components.feature_computer import shop


def streamed(project: Path) -> Streamed:
    store = FeatureStore(project / "store")
    [view] = catch_up(declared("shop_features.returned"), store, shop.CUT, shop.END)
    return view


def lines(project: Path) -> list[str]:
    return (project / "data" / "stream.jsonl").read_text().splitlines()


def test_the_stream_agrees_with_the_backfill(project: Path) -> None:
    found = streamed(project)
    assert found.rows == len(lines(project)) == found.events + found.late + found.filtered
    assert found.points > 50 and found.apart == 0
    assert found.late > 0 and found.apart_by_late > 0  # no lateness is allowed, and some come late


def test_the_newest_values_are_online(project: Path) -> None:
    streamed(project)
    view = declared("shop_features.spend")
    store = FeatureStore(project / "store")
    keys = pl.DataFrame({"shopper_id": ["s1", "nobody"]})
    found = store.online.read(view, keys, shop.END)  # type: ignore[arg-type]
    assert found["count_1h"].is_not_null().to_list() == [True, False]


def test_again_nothing_is_streamed_and_new_lines_are(project: Path) -> None:
    before = streamed(project)
    assert streamed(project) == before


def test_another_history_begins_anew(project: Path) -> None:
    before = streamed(project)
    file = project / "data" / "buys" / "part.parquet"
    pl.read_parquet(file).with_columns(pl.col("price") + 1).write_parquet(file)
    shop.write_stream(project, pl.read_parquet(file))
    assert streamed(project).rows == before.rows


def test_events_that_the_stream_never_had_break_parity(project: Path) -> None:
    there = lines(project)
    (project / "data" / "stream.jsonl").write_text("\n".join(there[:20] + there[40:]) + "\n")
    with pytest.raises(BeamfleetError, match=r"view 'spend': stream and backfill of 2024-01-03"):
        streamed(project)


def test_new_lines_of_the_stream_change_the_state(project: Path) -> None:
    parameters = {"features": "shop_features.returned", "store": str(project / "store")}
    before = state(parameters, {})
    with (project / "data" / "stream.jsonl").open("a") as file:
        file.write("{}\n")
    changed = {name for name, value in state(parameters, {}).items() if value != before[name]}
    assert changed == {"stream_fingerprint"}


def test_an_emptied_online_store_changes_the_state_and_is_filled_again(project: Path) -> None:
    streamed(project)
    parameters = {"features": "shop_features.returned", "store": str(project / "store")}
    before = state(parameters, {})
    assert state(parameters, {}) == before
    for file in (project / "store").glob("online.db*"):
        file.unlink()
    changed = {name for name, value in state(parameters, {}).items() if value != before[name]}
    assert changed == {"online_id"}
    streamed(project)
    test_the_newest_values_are_online(project)


def test_the_online_store_of_the_environment_is_filled(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAMFLEET_ONLINE_STORE", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    test_the_newest_values_are_online(project)
    assert (tmp_path / "elsewhere.db").exists()
    assert not (project / "store" / "online.db").exists()


def test_a_source_without_a_stream_is_named(project: Path) -> None:
    shop.change(project, ', JsonLines(DATA / "stream.jsonl")', "")
    with pytest.raises(BeamfleetError, match="source 'buys' has no stream of files"):
        state({"features": "shop_features.returned", "store": str(project / "store")}, {})
