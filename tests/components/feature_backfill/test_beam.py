"""A backfill on Beam is the embedded one."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.testing.util import assert_that
from polars.testing import assert_frame_equal

from components.feature_backfill import backfill as module
from components.feature_backfill import shard_log
from components.feature_backfill.backfill import backfill, known_log, read_events, read_log
from components.feature_backfill.beam import ChangeLog, as_bytes, backfill_on_beam
from components.features import Rolling, Session
from tests.components.feature_backfill.views import view_on, write_events


def pipeline() -> beam.Pipeline:
    return beam.Pipeline("FnApiRunner")


def test_it_writes_what_the_embedded_one_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD_ROWS", 700)
    write_events(tmp_path)
    view = view_on(tmp_path, Session("20m"))
    embedded = backfill(view, tmp_path / "embedded")
    on_beam = backfill_on_beam(view, tmp_path / "beam", pipeline)
    assert {**vars(on_beam), "folder": ""} == {**vars(embedded), "folder": ""}
    for read in (read_log, known_log, read_events):
        ours, theirs = (_sorted(read(view, tmp_path / one)) for one in ("beam", "embedded"))
        assert_frame_equal(ours, theirs, rel_tol=1e-9)
    rejects = [pl.read_parquet(Path(one.folder) / "rejects.parquet") for one in (on_beam, embedded)]
    assert_frame_equal(*rejects)


@pytest.mark.parametrize("first", ["threads", "beam"])
def test_what_the_other_road_has_begun_is_no_part_of_it(
    first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_events(tmp_path, rows=200)
    view, store = view_on(tmp_path, Session("20m")), tmp_path / "store"

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "finish", killed)
        backfill(view, store) if first == "threads" else backfill_on_beam(view, store, pipeline)
    backfill_on_beam(view, store, pipeline) if first == "threads" else backfill(view, store)
    backfill(view, tmp_path / "other")
    for read in (read_log, known_log, read_events):
        ours, theirs = (_sorted(read(view, tmp_path / one)) for one in ("store", "other"))
        assert_frame_equal(ours, theirs, rel_tol=1e-9)


def test_arrow_goes_in_and_the_change_log_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_log, "MOST_ROWS", 300)
    write_events(tmp_path, hot=0.5)
    view = view_on(tmp_path, Rolling("2h"))
    backfill(view, tmp_path / "store")
    batches = [as_bytes(part) for part in read_events(view, tmp_path / "store").iter_slices(250)]
    with pipeline() as begun:
        log = begun | beam.Create(batches) | ChangeLog(view, shards=3)
        assert_that(log, _is(read_log(view, tmp_path / "store").collect()))


def _is(expected: pl.DataFrame) -> Callable[[Any], None]:
    def check(parts: list[bytes]) -> None:
        frames = [pl.read_ipc_stream(io.BytesIO(part)) for part in parts]
        assert len(frames) > 3
        assert_frame_equal(_sorted(pl.concat(frames)), _sorted(expected), rel_tol=1e-9)

    return check


def _sorted(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    collected = frame.lazy().collect()
    return collected.sort(collected.columns)
