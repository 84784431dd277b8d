"""Sources that change while they are read, are empty, or say what cannot be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_backfill.backfill import backfill, read_log
from components.feature_backfill.source_files import pieces_of
from components.feature_store.expectations import check_expectations
from components.features import (
    Count,
    Entity,
    FeatureView,
    JsonLines,
    Parquet,
    Rolling,
    Source,
    UnifiedTransformer,
    stream_feature_view,
)
from components.features.window import Window
from tests.components.feature_backfill.views import view_on, write_events


def counted(batch: Parquet | JsonLines, window: Window) -> FeatureView:
    @stream_feature_view(
        entities=[Entity("card", keys=["card_id"])],
        source=Source("txns", batch, event_time="ts"),
        schema={"n": int},
    )
    def seen(events: Any) -> Any:
        return events | UnifiedTransformer(lambda rows: rows, window, Count())

    return seen


@pytest.mark.parametrize("change", ["grows", "comes", "goes", "same size"])
def test_files_that_change_while_they_are_read_stop_it(change: str, tmp_path: Path) -> None:
    write_events(tmp_path, rows=60)
    view, store = view_on(tmp_path, Rolling("2h")), tmp_path / "store"
    lines = tmp_path / "fails" / "c.jsonl"
    spare = tmp_path / "fails" / "d.jsonl"
    spare.write_text("\n")

    def meanwhile(done: int, of: int, noun: str) -> None:
        if (done, noun) != (1, "shards" if change == "goes" else "pieces"):
            return
        match change:
            case "grows":
                lines.write_text(lines.read_text() + "\n")
            case "comes":
                (tmp_path / "fails" / "e.jsonl").write_text("\n")
            case "goes":
                spare.unlink()
            case "same size":
                lines.write_text(lines.read_text().replace("c1", "c2"))

    with pytest.raises(BeamfleetError, match=r"jsonl came, went or changed while"):
        backfill(view, store, progress=meanwhile)
    assert not list(store.rglob("*.arrow")), "nothing of it is taken up again"
    report = backfill(view, store)
    left = report.rejected + report.filtered + report.duplicates + report.events
    assert report.rows_in == left > 60


@pytest.mark.parametrize("kind", [Parquet, JsonLines])
def test_an_empty_source_has_an_empty_history(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    if kind is Parquet:
        schema = {"card_id": pl.String, "ts": pl.Datetime("us", "UTC")}
        pl.DataFrame(schema=schema).write_parquet(path)
    else:
        path.write_text("")
    view = counted(kind(path), Rolling("2h"))
    asked = []

    def check(*given: Any) -> None:
        asked.append(given[2].select("card_id", "event_time", "created").collect().height)
        check_expectations(*given)

    report = backfill(view, tmp_path / "store", check=check)
    assert (report.rows_in, report.rows_out, asked) == (0, 0, [0])
    assert read_log(view, tmp_path / "store").collect().columns[-1] == "n"


def test_a_file_without_a_line_that_can_be_read_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{broken\n\n[]\n")
    (tmp_path / "b.jsonl").write_text("\n\n")
    (tmp_path / "c.jsonl").write_text('{"card_id": "c", "ts": "2024-01-01"}\n')
    report = backfill(counted(JsonLines(tmp_path / "*.jsonl"), Rolling("2h")), tmp_path / "store")
    assert (report.rows_in, report.rejected, report.events) == (3, 2, 1)
    assert pl.read_parquet(Path(report.folder) / "rejects.parquet")["row"].to_list() == [0, 2]


def test_times_that_no_window_can_follow_are_rejected(tmp_path: Path) -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9700, 1, 1, tzinfo=UTC)
    us = [-(2**63) + 1, -(2**62), 2**62, 2**63 - 1, 0]
    times = pl.Series(us).cast(pl.Datetime("us", "UTC")).append(pl.Series([first, last]))
    pl.DataFrame({"card_id": list("abcdefg"), "ts": times}).write_parquet(tmp_path / "a.parquet")
    view = counted(Parquet(tmp_path / "a.parquet"), Rolling("36500d"))
    report = backfill(view, tmp_path / "store")
    assert (report.rows_in, report.rejected, report.events) == (7, 4, 3)
    rejects = pl.read_parquet(Path(report.folder) / "rejects.parquet")
    assert rejects["row"].to_list() == [0, 1, 2, 3]
    log = read_log(view, tmp_path / "store").collect().sort("valid_from")
    begins = [first, datetime(1970, 1, 1, tzinfo=UTC), last]
    ends = [one + timedelta(days=36_500) for one in begins]
    assert log["valid_from"].to_list() == sorted([*begins, *ends])


def test_what_is_known_exactly_as_of_then_counts(tmp_path: Path) -> None:
    as_of = datetime(2024, 1, 1, tzinfo=UTC)
    times = [as_of, as_of + timedelta(microseconds=1)]
    frame = pl.DataFrame({"card_id": ["c", "c"], "ts": times})
    frame.write_parquet(tmp_path / "a.parquet")
    view = counted(Parquet(tmp_path / "a.parquet"), Rolling("2h"))
    report = backfill(view, tmp_path / "store", as_of=as_of)
    assert (report.later, report.events) == (1, 1)


def test_files_of_another_kind_are_told_how_to_be_declared(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("a\n1\n")
    lines = Source("s", JsonLines(tmp_path / "a.parquet"), "ts")
    with pytest.raises(BeamfleetError, match=r"a\.parquet is a Parquet file.*write Parquet"):
        pieces_of([lines])
    with pytest.raises(BeamfleetError, match=r"a\.csv is no Parquet file.*pl\.read_csv"):
        pieces_of([Source("s", Parquet(tmp_path / "a.csv"), "ts")])
