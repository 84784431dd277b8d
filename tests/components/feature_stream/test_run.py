"""A stream in process: from files that grow to the online store and the log, whatever happens."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from components.errors import BeamfleetError
from components.feature_stream import read_late, read_rejected, read_stream_log, run_stream
from components.feature_stream.keying import keyed_rows
from components.feature_values.changes import changes
from components.feature_values.keyed import keyed_events
from components.features import (
    Count,
    Entity,
    FeatureView,
    JsonLines,
    Last,
    Lifetime,
    Mean,
    Parquet,
    Rolling,
    Session,
    Source,
    Tumbling,
    UnifiedTransformer,
    stream_feature_view,
)
from components.online_store import open_online_store

CARD = Entity("card", keys=["card_id"])
DAY = datetime(2024, 1, 1, tzinfo=UTC)
LATER = datetime(2024, 3, 1, tzinfo=UTC)


def views_of(folder: Path) -> list[FeatureView]:
    txns = Source("txns", Parquet(folder / "history"), "ts", JsonLines(folder / "txns"),
                  created="seen", id="id")  # fmt: skip
    fails = Source("fails", Parquet(folder / "history2"), "ts", JsonLines(folder / "fails.jsonl"),
                   created="seen", id="id")  # fmt: skip

    @stream_feature_view(
        entities=[CARD], source=txns, schema={"mean": float, "count": int}, online=True
    )
    def spend(events: Any) -> Any:
        window = Rolling("1h", lateness="10m")
        return events | UnifiedTransformer(same, window, (Mean("amount"), Count()))

    @stream_feature_view(
        entities=[CARD], source=[txns, fails], schema={"last": datetime, "code": str}, online=True
    )
    def latest(bought: Any, failed: Any) -> Any:
        two = (Last("event_time"), Last("code"))
        return (bought, failed) | UnifiedTransformer((same, same), Lifetime(lateness="10m"), two)

    @stream_feature_view(entities=[CARD], source=txns, schema={"n": int}, online=True)
    def sitting(events: Any) -> Any:
        return events | UnifiedTransformer(same, Session("20m", lateness="10m"), Count())

    @stream_feature_view(entities=[CARD], source=txns, schema={"n": int}, online=True)
    def hourly(events: Any) -> Any:
        return events | UnifiedTransformer(same, Tumbling("1h", lateness="10m"), Count())

    return [spend, latest, sitting, hourly]


def same(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def make_stream(folder: Path, count: int, seed: int = 0) -> None:
    """Events out of order, late and twice, of twenty cards; some lines cannot be read."""
    random, ordered = Random(seed), []
    for number in range(count):
        time = DAY + timedelta(seconds=60 * number + random.randrange(60))
        late = timedelta(minutes=random.choice((0, 0, 0, 2, 8, 9, 30, 70)))
        row = {"card_id": f"c{random.randrange(20)}", "ts": time.isoformat(), "id": f"t{number}",
               "seen": (time + late).isoformat()}  # fmt: skip
        row["amount"] = random.randrange(1000) / 4
        ordered.append((time + late, number, row))
        if random.random() < 0.1:
            ordered.append((time + late + timedelta(minutes=1), number + count, row))
    ordered.sort(key=lambda one: one[:2])
    (folder / "txns").mkdir(parents=True)
    txns, fails = [], []
    for number, (_, _, row) in enumerate(ordered):
        if number % 5 == 4:
            row = {**row, "code": f"e{number % 3}"}
            del row["amount"]
            fails.append(json.dumps(row))
        else:
            txns.append(json.dumps(row))
        if number % 97 == 50:
            txns.append(random.choice(('{"torn', "[1]", '{"card_id": "c1", "ts": "soon"}')))
    half = len(txns) // 2
    write(folder / "txns" / "a.jsonl", txns[:half])
    write(folder / "txns" / "b.jsonl", txns[half:])
    write(folder / "fails.jsonl", fails)


def write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def history_of(view: FeatureView, without: pl.DataFrame | None = None) -> pl.DataFrame:
    """The change log of all lines that can be read, but the late ones."""
    parts = []
    for source in view.sources:
        path = Path(source.stream.path)  # type: ignore[union-attr]
        rows = []
        for file in sorted(path.glob("*")) if path.is_dir() else [path]:
            for line in file.read_text().splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                rows += [row] if isinstance(row, dict) else []
        frame = pl.DataFrame(rows, infer_schema_length=None)
        parts.append(keyed_events(view, source, frame).events)
    events = pl.concat(parts, how="diagonal_relaxed")
    if without is not None:
        events = left_out(events, without)
    return changes(view, events)


def left_out(events: pl.DataFrame, late: pl.DataFrame) -> pl.DataFrame:
    """Each late event once less."""
    on = late.columns
    nth = pl.int_range(pl.len()).over(on).alias("nth")
    marked = events.with_columns(nth)
    counts = late.group_by(on).agg(gone=pl.len())
    joined = marked.join(
        counts.cast({name: events.schema[name] for name in on}), on=on, how="left", nulls_equal=True
    )
    return joined.filter(pl.col("nth") >= pl.col("gone").fill_null(0)).drop("nth", "gone")


def late_of(view: FeatureView, root: Path) -> pl.DataFrame | None:
    try:
        return read_late(view, root)
    except BeamfleetError:
        return None


def check_log(view: FeatureView, root: Path) -> None:
    expected = history_of(view, late_of(view, root))
    assert_frame_equal(read_stream_log(view, root).collect(), expected, rel_tol=1e-9)


def stream(folder: Path, root: Path, **more: Any) -> Any:
    online = open_online_store(f"sqlite:///{root / 'online.db'}")
    root.mkdir(parents=True, exist_ok=True)
    try:
        return run_stream(views_of(folder), online, root / "stream.db", root, until_idle=True,
                          poll_s=0.01, **more)  # fmt: skip
    finally:
        online.close()


def online_values(folder: Path, root: Path, now: datetime) -> list[pl.DataFrame]:
    online = open_online_store(f"sqlite:///{root / 'online.db'}")
    keys = pl.DataFrame({"card_id": [f"c{n}" for n in range(21)]})
    try:
        return [online.read(view, keys, now) for view in views_of(folder)]
    finally:
        online.close()


def test_log_and_online_store_say_what_history_says(tmp_path: Path) -> None:
    make_stream(tmp_path / "in", 700)
    report = stream(tmp_path / "in", tmp_path / "out", at_idle=lambda: LATER)
    for view, made in zip(views_of(tmp_path / "in"), report.views, strict=True):
        check_log(view, tmp_path / "out")
        counts = made.counts
        assert counts.late and counts.duplicates and counts.rejected
        assert counts.late == read_late(view, tmp_path / "out").height
        assert counts.rejected == read_rejected(view, tmp_path / "out").height
        assert counts.rows == (
            counts.events + counts.late + counts.duplicates + counts.rejected + counts.filtered
        )
        assert made.watermark == LATER and not made.unread_bytes
    spend, latest, *_ = online_values(tmp_path / "in", tmp_path / "out", LATER)
    assert set(spend["count"].drop_nulls()) == {0}
    log = read_stream_log(views_of(tmp_path / "in")[1], tmp_path / "out").collect()
    newest = log.group_by("card_id").last().sort("card_id")["last"].to_list()
    assert latest.sort("card_id")["last"].drop_nulls().to_list() == newest


def test_a_stream_in_pieces_is_the_stream_at_once(tmp_path: Path) -> None:
    whole, piece = tmp_path / "whole", tmp_path / "piece"
    make_stream(whole, 300)
    stream(whole, tmp_path / "once")
    lines = (whole / "txns" / "a.jsonl").read_bytes()
    (piece / "txns").mkdir(parents=True)
    for end in (10, 300, len(lines) // 2, len(lines)):
        (piece / "txns" / "a.jsonl").write_bytes(lines[:end])
        report = stream(piece, tmp_path / "twice")
        whole_lines = lines[:end].rfind(b"\n") + 1
        assert {view.unread_bytes for view in report.views} == {end - whole_lines}
    for name in ("txns/b.jsonl", "fails.jsonl"):
        (piece / name).write_bytes((whole / name).read_bytes())
        report = stream(piece, tmp_path / "twice")
    for number in (0, 2, 3):  # of one source
        logs = [
            read_stream_log(views_of(folder)[number], root).collect()
            for folder, root in ((whole, tmp_path / "once"), (piece, tmp_path / "twice"))
        ]
        assert_frame_equal(*logs)
    for view in views_of(piece):
        late = late_of(view, tmp_path / "twice")
        log = read_stream_log(view, tmp_path / "twice").collect()
        said = history_of(view, late)
        assert log.height and log.join(said, on=["card_id", "valid_from"], how="anti").is_empty()


CHILD = """
import sys, pathlib
from components.feature_stream import view_stream
from tests.components.feature_stream.test_run import stream, LATER
view_stream.BLOCK_LINES = 40
view_stream.DUE_KEYS = 7
stream(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), at_idle=lambda: LATER)
"""


def test_killed_again_and_again_it_says_the_same(tmp_path: Path) -> None:
    make_stream(tmp_path / "in", 300)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    subprocess.run(_child(tmp_path / "in", undisturbed), check=True)
    random, kills = Random(1), 0
    while True:
        process = subprocess.Popen(_child(tmp_path / "in", killed))
        wanted = _batches(killed) + random.randrange(2, 30)
        while process.poll() is None and _batches(killed) < wanted:
            time.sleep(0.002)
        if process.poll() is not None:
            break
        time.sleep(random.random() / 50)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        assert kills < 100
    assert process.returncode == 0 and kills >= 3
    for view in views_of(tmp_path / "in"):
        parts = [sorted((root / "stream" / view.name / "v1").iterdir())
                 for root in (undisturbed, killed)]  # fmt: skip
        assert [one.name for one in parts[0]] == [one.name for one in parts[1]]
        for left, right in zip(*parts, strict=True):
            assert_frame_equal(_part(left), _part(right))
        check_log(view, killed)
    now = DAY + timedelta(days=3)
    for left, right in zip(
        online_values(tmp_path / "in", undisturbed, now),
        online_values(tmp_path / "in", killed, now),
        strict=True,
    ):
        assert_frame_equal(left, right)
    with sqlite3.connect(killed / "stream.db") as ledger:
        assert ledger.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def _child(folder: Path, root: Path) -> list[str]:
    return [sys.executable, "-c", CHILD, str(folder), str(root)]


def _batches(root: Path) -> int:
    return len(list(root.glob("stream/*/*/*.parquet")))


def _part(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path)


def test_history_counts_and_is_not_said_again(tmp_path: Path) -> None:
    make_stream(tmp_path / "in", 400)
    whole = history_of(views_of(tmp_path / "in")[1])
    late = tmp_path / "in" / "txns"
    (tmp_path / "in" / "old").mkdir()
    (late / "a.jsonl").rename(tmp_path / "in" / "old" / "a.jsonl")
    (tmp_path / "in" / "fails.jsonl").write_text("")
    view = views_of(tmp_path / "in")[1]
    old = [json.loads(line) for line in
           (tmp_path / "in" / "old" / "a.jsonl").read_text().splitlines() if line[:8] == '{"card_i'
           and "soon" not in line]  # fmt: skip
    history = keyed_events(view, view.sources[0], pl.DataFrame(old, infer_schema_length=None))
    run_stream([view], None, tmp_path / "s.db", tmp_path / "out", until_idle=True,
               history=lambda _: history.events)  # fmt: skip
    log = read_stream_log(view, tmp_path / "out").collect()
    assert whole.height > log.height > 0
    assert log["valid_from"].min() > history.events["event_time"].max() - timedelta(minutes=10)


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    make_stream(tmp_path / "in", 20)
    spend = views_of(tmp_path / "in")[0]
    state, root = tmp_path / "s.db", tmp_path / "out"
    run_stream([spend], None, state, root, until_idle=True)
    kafka = Source("k", Parquet("x"), "ts")

    @stream_feature_view(entities=[CARD], source=kafka, schema={"n": int})
    def of_nothing(events: Any) -> Any:
        return events | UnifiedTransformer(same, Lifetime(), Count())

    with pytest.raises(BeamfleetError, match="'k' of view 'of_nothing' has no stream"):
        run_stream([of_nothing], None, state, root, until_idle=True)
    with pytest.raises(BeamfleetError, match="whose state is not there"):
        run_stream([spend], None, tmp_path / "other.db", root, until_idle=True)
    file = tmp_path / "in" / "txns" / "a.jsonl"
    content = file.read_bytes()
    file.write_bytes(content[:100])
    with pytest.raises(BeamfleetError, match=r"a\.jsonl has 100 bytes, .* have been read"):
        run_stream([spend], None, state, root, until_idle=True)
    file.write_bytes(content.replace(b"\n", b" ") + b"\n{}\n")
    with pytest.raises(BeamfleetError, match="no longer the end of a line"):
        run_stream([spend], None, state, root, until_idle=True)
    state.write_bytes(b"no database" * 100)
    with pytest.raises(BeamfleetError, match="no state of a stream"):
        run_stream([spend], None, state, root, until_idle=True)


def test_a_changed_definition_and_a_second_stream_are_refused(tmp_path: Path) -> None:
    make_stream(tmp_path / "in", 20)
    spend, _, sitting, hourly = views_of(tmp_path / "in")
    state, root = tmp_path / "s.db", tmp_path / "out"
    run_stream([sitting], None, state, root, until_idle=True)
    object.__setattr__(sitting.transformer, "window", Session("21m"))
    with pytest.raises(BeamfleetError, match="'sitting' version 1 has changed"):
        run_stream([sitting], None, state, root, until_idle=True)

    def second() -> datetime:
        with pytest.raises(BeamfleetError, match="another stream works on it"):
            run_stream([hourly], None, state, root, until_idle=True)
        return LATER

    run_stream([spend], None, state, root, until_idle=True, at_idle=second)


def test_a_row_that_the_transform_cannot_take_is_rejected_alone(tmp_path: Path) -> None:
    make_stream(tmp_path / "in", 20)
    spend = views_of(tmp_path / "in")[0]
    good = {"card_id": "c1", "ts": "2024-01-01T00:00:00Z", "seen": "2024-01-01T00:00:01Z", "id": 1}
    rows = [{**good, "amount": 1.5}, {**good, "amount": "much"}, {**good, "id": 2, "amount": 2}]
    made = keyed_rows(spend, spend.sources[0], rows, {})
    assert [event.values[0] for _, event in made.events] == [1.5, 2]
    [(place, reason)] = made.rejected
    assert place == 1 and "Mean reads 'amount', which is String" in reason
    with pytest.raises(BeamfleetError, match="none of 2 rows can be taken"):
        keyed_rows(spend, spend.sources[0], [{"a": 1}, {"a": 2}], {})


def test_rows_of_other_types_are_rejected_in_any_block(tmp_path: Path) -> None:
    source = Source("txns", Parquet("x"), "ts", JsonLines(tmp_path / "in"))

    @stream_feature_view(entities=[CARD], source=source, schema={"code": str})
    def kept(events: Any) -> Any:
        return events | UnifiedTransformer(same, Lifetime(), Last("code"))

    row: dict[str, Any] = {"card_id": "c", "ts": "2024-01-01", "code": "x"}
    hostile = [{**row, "code": 5}, {**row, "code": True}, {**row, "card_id": 1.5}]
    lines = [json.dumps(one) for one in (row, *hostile, {**row, "card_id": 7})]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.jsonl", lines[:1])
    together, alone = tmp_path / "together", tmp_path / "alone"
    for turn in range(1, len(lines)):
        run_stream([kept], None, alone / "s.db", alone, until_idle=True)
        write(tmp_path / "in" / "a.jsonl", [*lines[: turn + 1]])
    for root in (alone, together):
        [report] = run_stream([kept], None, root / "s.db", root, until_idle=True).views
        assert (report.counts.rows, report.counts.rejected, report.counts.events) == (5, 3, 2)
        assert read_stream_log(kept, root).collect()["card_id"].to_list() == ["7", "c"]
        reasons = read_rejected(kept, root)["reason"].to_list()
        assert "Last reads 'code', which is Int64" in reasons[0]
        assert "key card_id is Float64" in reasons[2]
