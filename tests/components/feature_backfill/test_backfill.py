"""A backfill is what the kernel makes of all events, whatever is killed on the way."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from components.errors import BeamfleetError
from components.feature_backfill import backfill as module
from components.feature_backfill import shard_log, source_files
from components.feature_backfill.backfill import (
    BackfillReport,
    backfill,
    known_log,
    read_events,
    read_log,
)
from components.feature_backfill.generation import locked
from components.feature_values.changes import changes
from components.feature_values.keyed import keyed_events
from components.features.view import FeatureView
from components.features.window import Lifetime, Rolling
from tests.components.feature_backfill.views import START, WINDOWS, view_on, write_events


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pieces, batches and shards of few events."""
    monkeypatch.setattr(source_files, "PIECE_ROWS", 800)
    monkeypatch.setattr(source_files, "BATCH_ROWS", 300)
    monkeypatch.setattr(module, "SHARD_ROWS", 700)


def events_of(view: FeatureView, folder: Path) -> pl.DataFrame:
    """All events, keyed at once, from frames that polars reads."""
    txns, fails = view.sources
    lines = [line for line in (folder / "fails/c.jsonl").read_text().splitlines() if "at" in line]
    rows = pl.read_ndjson("\n".join(lines).encode())
    parts = [
        keyed_events(view, txns, pl.read_parquet(folder / "txns/**/*.parquet")).events,
        keyed_events(view, fails, rows).events,
    ]
    return pl.concat(parts, how="diagonal_relaxed")


def assert_same(ours: pl.DataFrame, theirs: pl.DataFrame, exact: bool = False) -> None:
    order = ["card_id", "shop", "valid_from"]
    ours, theirs = ours.sort(order), theirs.sort(order)
    assert_frame_equal(ours, theirs, check_exact=exact, rel_tol=1e-9, abs_tol=1e-9)


def assert_counts(report: BackfillReport) -> None:
    left = report.rejected + report.filtered + report.later + report.duplicates + report.events
    assert report.rows_in == left


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_it_is_what_the_kernel_makes_of_all_events(window: Any, tmp_path: Path) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, window)
    report = backfill(view, tmp_path / "store")
    events = events_of(view, tmp_path)
    assert_same(read_log(view, tmp_path / "store").collect(), changes(view, events))
    assert_counts(report)
    assert report.rows_in == 3_000 + 150 + 500 + 2
    assert report.rejected == 7 + 2
    assert report.filtered > 0
    assert report.duplicates > 50
    assert read_events(view, tmp_path / "store").height == report.events


def test_the_rows_of_a_key_lie_together_in_order(tmp_path: Path) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, Rolling("2h"))
    backfill(view, tmp_path / "store")
    log = read_log(view, tmp_path / "store").collect()
    runs = log.select(pl.struct("card_id", "shop").rle_id().n_unique()).item()
    assert runs == log.select("card_id", "shop").n_unique()
    assert (
        log.select((pl.col("valid_from").diff() > timedelta(0)).over("card_id")).to_series().all()
    )


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("hot", [0.0, 0.9])
def test_a_shard_beyond_memory_is_taken_apart(
    window: Any, hot: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_log, "MOST_ROWS", 60)
    monkeypatch.setattr(module, "SHARD_ROWS", 10**6)
    read, swept = shard_log._read, []
    monkeypatch.setattr(shard_log, "_read", lambda *given: swept.append(read(*given)) or swept[-1])
    write_events(tmp_path, hot=hot)
    view = view_on(tmp_path, window)
    report = backfill(view, tmp_path / "store")
    log = read_log(view, tmp_path / "store").collect()
    assert_same(log, changes(view, events_of(view, tmp_path)))
    assert_counts(report)
    assert max(frame.height for frame in swept) < 130
    assert not list((tmp_path / "store").rglob("meanwhile"))
    assert (
        log.select((pl.col("valid_from").diff() > timedelta(0)).over("card_id")).to_series().all()
    )


def test_only_what_had_happened_and_was_known_by_then_counts(tmp_path: Path) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, Lifetime())
    as_of = START + timedelta(hours=20)
    report = backfill(view, tmp_path / "store", as_of=as_of)
    events = events_of(view, tmp_path)
    by_then = events.filter((pl.col("event_time") <= as_of) & (pl.col("created") <= as_of))
    assert_same(read_log(view, tmp_path / "store").collect(), changes(view, by_then))
    assert_counts(report)
    assert report.later == events.height - by_then.height > 0


def test_what_was_known_of_some_keys(tmp_path: Path) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, Rolling("2h"))
    backfill(view, tmp_path / "store")
    expected = changes(view, events_of(view, tmp_path), known=True)
    assert_same(known_log(view, tmp_path / "store"), expected)
    keys = pl.DataFrame({"card_id": ["c1", "c4", "nobody"], "shop": [1, 1, 1]})
    some = expected.filter(pl.col("card_id").is_in(["c1", "c4"]))
    assert_same(known_log(view, tmp_path / "store", keys), some)


def test_other_code_of_ours_computes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, Rolling("2h"))
    first = backfill(view, tmp_path / "store")
    assert backfill(view, tmp_path / "store") == first
    monkeypatch.setattr(module, "own_fingerprint", lambda: "the next release")
    assert backfill(view, tmp_path / "store").folder != first.folder


def test_many_rejects_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, Rolling("2h"))
    report = backfill(view, tmp_path / "store")
    assert 0 < report.rejected < 0.01 * report.rows_in
    assert "rejected" not in caplog.text
    monkeypatch.setattr(module, "_MANY_REJECTED", 0.001)
    backfill(view, tmp_path / "store")
    assert f"{report.rejected} of {report.rows_in} rows rejected" in caplog.text
    assert f"{report.folder}/rejects.parquet" in caplog.text


def test_rejects_are_named(tmp_path: Path) -> None:
    write_events(tmp_path)
    report = backfill(view_on(tmp_path, Rolling("2h")), tmp_path / "store")
    rejects = pl.read_parquet(Path(report.folder) / "rejects.parquet")
    assert rejects.height == report.rejected
    named = [(Path(file).name, row, why) for file, row, why in rejects.rows()]
    assert ("c.jsonl", 2, "the line is no JSON object") in named
    assert ("c.jsonl", 502, "at is missing or cannot be read") in named
    txns = pl.read_parquet(tmp_path / "txns/more/b.parquet").with_row_index()
    bad = txns.filter(pl.col("card_id").is_null())["index"].to_list()
    assert [row for file, row, _ in named if file == "b.parquet"] == bad


def test_nothing_is_computed_again_until_something_changes(tmp_path: Path) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, Rolling("2h"))
    told: list[str] = []

    def run(**given: Any) -> BackfillReport:
        told.clear()
        return backfill(
            view, tmp_path / "store", progress=lambda _, __, noun: told.append(noun), **given
        )

    first = run()
    assert set(told) == {"pieces", "shards"}
    assert run() == first
    assert not told
    pl.read_parquet(tmp_path / "txns/a.parquet").tail(-1).write_parquet(tmp_path / "txns/a.parquet")
    assert run().rows_in == first.rows_in - 1
    assert told
    run(as_of=START)
    assert not Path(first.folder).exists()


def test_a_check_stops_what_nobody_may_read(tmp_path: Path) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, Rolling("2h"))
    with pytest.raises(BeamfleetError, match="backfill it first"):
        read_log(view, tmp_path / "store")
    backfill(view, tmp_path / "store", as_of=START + timedelta(hours=3))
    before = read_log(view, tmp_path / "store").collect()

    def refuse(view: Any, log: pl.LazyFrame, events: pl.LazyFrame, as_of: Any) -> None:
        assert log.collect().height > before.height
        assert events.select("card_id", "event_time").collect().height
        raise BeamfleetError("no")

    with pytest.raises(BeamfleetError, match="no"):
        backfill(view, tmp_path / "store", check=refuse)
    assert read_log(view, tmp_path / "store").collect().equals(before)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    write_events(tmp_path, rows=60)
    view = view_on(tmp_path, Rolling("2h"))
    with (
        locked(view, tmp_path / "store"),
        pytest.raises(BeamfleetError, match="another process"),
    ):
        backfill(view, tmp_path / "store")


def test_no_events_make_an_empty_log(tmp_path: Path) -> None:
    write_events(tmp_path, rows=60)
    view = view_on(tmp_path, Rolling("2h"))
    report = backfill(view, tmp_path / "store", as_of=START - timedelta(days=1))
    log = read_log(view, tmp_path / "store").collect()
    assert (report.events, log.height) == (0, 0)
    assert log.columns == changes(view, events_of(view, tmp_path)).columns
    assert known_log(view, tmp_path / "store").height == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from components.feature_backfill import backfill as module, keyed_piece, shard_log, source_files
from components.features.window import Rolling
from tests.components.feature_backfill.views import view_on
source_files.PIECE_ROWS, source_files.BATCH_ROWS, module.SHARD_ROWS = 800, 300, 700
place, left = sys.argv[2], int(sys.argv[3])
def dying(function):
    def called(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return called
holder, name = {"batch": (keyed_piece.EventWriter, "append"), "piece": (keyed_piece, "write_json"),
    "shard": (shard_log, "write_json"), "log": (shard_log.ShardLog, "write"),
    "manifest": (module, "finish"), "pointer": (module, "publish")}[place]
setattr(holder, name, dying(getattr(holder, name)))
folder = Path(sys.argv[1])
module.backfill(view_on(folder, Rolling("2h")), folder / "store", workers=2)
"""


def test_killed_anywhere_it_goes_on_with_nothing_lost_and_nothing_twice(tmp_path: Path) -> None:
    write_events(tmp_path)
    view = view_on(tmp_path, Rolling("2h"))
    undisturbed = backfill(view, tmp_path / "other")
    expected = read_log(view, tmp_path / "other").collect()
    spots = [("batch", 3), ("piece", 2), ("log", 1), ("shard", 2), ("manifest", 0), ("pointer", 0)]
    kept: dict[Path, float] = {}
    for place, after in spots:
        code = [sys.executable, "-c", KILLED, str(tmp_path), place, str(after)]
        killed = subprocess.run(code, check=False, stderr=subprocess.PIPE, text=True)
        assert killed.returncode == -9, killed.stderr
        with pytest.raises(BeamfleetError, match="backfill it first"):
            read_log(view, tmp_path / "store")
        done = (tmp_path / "store").rglob("shard-*/part-*.parquet")
        whole = {path: path.stat().st_mtime for path in done if ".tmp" not in str(path)}
        assert kept.items() <= whole.items()
        kept = whole
    report = backfill(view, tmp_path / "store")
    assert len(kept) > 2
    assert all(path.stat().st_mtime == at for path, at in kept.items())
    assert {**vars(report), "folder": ""} == {**vars(undisturbed), "folder": ""}
    assert read_log(view, tmp_path / "store").collect().equals(expected)
