"""Each row once, whoever dies; what is not kept is counted."""

import fcntl
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import BeamfleetError
from components.served_log import ServedLog, read_losses, read_served
from components.served_log.columns import log_schema
from components.served_log.parts import LogFolder
from components.served_log.segment import SegmentWriter, is_orphan, read_frames
from tests.components.served_log.services import END, FRAUD, START, served_row


def numbers(root: Path) -> list[int]:
    ids = read_served(root, START, END, "fraud").collect()["request_id"].to_list()
    return sorted(int(one[1:]) for one in ids)


def parts(root: Path) -> list[Path]:
    return sorted(root.glob("served/fraud/parts/*.parquet"))


def test_what_is_appended_is_read_with_its_types(tmp_path: Path) -> None:
    odd = served_row(2, prediction="ja\n\x1b[31m", score=float("nan"), entity=None)
    odd["feature.mean_4h"] = odd["valid_from.card_spend"] = None
    with ServedLog(tmp_path, FRAUD) as log:
        log.append([served_row(1), odd])
        log.append(pl.DataFrame([served_row(3)]))
        assert log.flush()
        assert numbers(tmp_path) == [1, 2, 3]  # of the segment that is still written
        assert not parts(tmp_path)
    assert len(parts(tmp_path)) == 1
    read = read_served(tmp_path, START, END).sort("time").collect()
    assert dict(read.schema) == log_schema(FRAUD)
    own = {"service": "fraud", "service_version": 1}
    assert read.row(0, named=True) == {**served_row(1), **own}
    assert read.row(2, named=True) == {**served_row(3), **own}
    assert read["score"].is_nan().to_list() == [False, True, False]
    assert read.row(1, named=True) | {"score": 0} == {**odd, **own, "score": 0}
    assert read_losses(tmp_path, "fraud").is_empty()


def test_the_end_is_exclusive_and_times_need_a_zone(tmp_path: Path) -> None:
    with ServedLog(tmp_path, FRAUD) as log:
        log.append([served_row(n) for n in range(5)])
    second = served_row(1)["time"], served_row(3)["time"]
    assert read_served(tmp_path, *second, "fraud").collect().height == 2
    with pytest.raises(BeamfleetError, match="with a zone"):
        read_served(tmp_path, START.replace(tzinfo=None), END)
    with pytest.raises(BeamfleetError, match="no log of service 'other'; it has those of fraud"):
        read_served(tmp_path, START, END, "other")
    assert read_served(tmp_path / "nothing", START, END).collect().is_empty()


def test_rows_that_do_not_fit_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    with ServedLog(tmp_path, FRAUD) as log:
        log.append([served_row(1)])
        log.append([served_row(2, score="high")])
        log.append([served_row(3, **{"feature.mean_5h": 1.0})])
        log.append([served_row(4, time=None), served_row(5)])
        log.append([served_row(6)])
        log.flush()
        assert log.dropped == 4
    assert numbers(tmp_path) == [1, 6]
    losses = read_losses(tmp_path, "fraud")
    assert losses["rows"].sum() == 4
    assert any("feature.mean_5h" in why for why in losses["why"])


def test_what_fails_for_any_reason_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: SegmentWriter, rows: pl.DataFrame) -> None:
        raise AttributeError("half imported")

    with ServedLog(tmp_path, FRAUD) as log:
        monkeypatch.setattr(SegmentWriter, "append", failing)
        log.append([served_row(1), served_row(2)])
        log.flush()
        monkeypatch.undo()
        log.append([served_row(3)])
        assert log.flush()
        assert log.dropped == 2
    assert numbers(tmp_path) == [3]
    assert read_losses(tmp_path, "fraud")["rows"].to_list() == [2]


def test_a_full_queue_drops_and_says_so(tmp_path: Path) -> None:
    with ServedLog(tmp_path, FRAUD, queue_rows=10) as log:
        for n in range(50):
            log.append([served_row(n)])
        dropped = log.dropped
        assert log.flush()
    assert dropped > 0
    assert len(numbers(tmp_path)) == 50 - dropped
    losses = read_losses(tmp_path, "fraud")
    assert set(losses["why"]) == {"the queue was full"}
    assert losses["rows"].sum() == dropped
    log.append([served_row(60)])
    assert log.dropped == dropped + 1
    assert "the log was closed" in set(read_losses(tmp_path, "fraud")["why"])


def test_segments_become_parts_and_the_oldest_go(tmp_path: Path) -> None:
    with ServedLog(tmp_path, FRAUD, segment_bytes=1, max_bytes=1) as log:
        for n in range(4):
            log.append([served_row(n)])
            assert log.flush()
            _wait_until(lambda: not list(tmp_path.glob("served/fraud/segments/*")))
    assert numbers(tmp_path) == [3]
    losses = read_losses(tmp_path, "fraud")
    assert losses["rows"].sum() == 3
    assert all("was removed: the log has its largest size" in why for why in losses["why"])


def test_a_disk_that_refuses_loses_rows_but_no_request(tmp_path: Path) -> None:
    with ServedLog(tmp_path, FRAUD) as log:
        (tmp_path / "served/fraud/segments").rmdir()
        log.append([served_row(1)])
        assert log.flush()
        assert log.dropped == 1
        (tmp_path / "served/fraud/segments").mkdir()
        log.append([served_row(2)])
        assert log.flush()
    assert numbers(tmp_path) == [2]
    assert read_losses(tmp_path, "fraud")["rows"].to_list() == [1]


def test_a_part_beside_its_segment_counts_once(tmp_path: Path) -> None:
    """As if killed between the rename of the part and the removal of the segment."""
    log = ServedLog(tmp_path, FRAUD)
    log.append([served_row(n) for n in range(3)])
    log.flush()
    [segment] = tmp_path.glob("served/fraud/segments/*")
    content = segment.read_bytes()
    log.close()
    segment.write_bytes(content)
    assert numbers(tmp_path) == [0, 1, 2]
    with ServedLog(tmp_path, FRAUD) as after:  # which tidies up
        after.append([served_row(3)])
    assert numbers(tmp_path) == [0, 1, 2, 3]
    assert not segment.exists()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_segment_cut_off_anywhere_gives_its_whole_frames(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.segment"
    writer = SegmentWriter(path)
    ends = [0]
    for n in range(3):
        writer.append(pl.DataFrame({"n": [n, n]}))
        ends.append(writer.bytes)
    assert not is_orphan(path)
    writer.close()
    assert is_orphan(path)
    at = data.draw(st.integers(0, ends[-1]))
    path.write_bytes(path.read_bytes()[:at])
    whole = sum(end <= at for end in ends) - 1
    frames = read_frames(path)
    assert (0 if frames.rows is None else frames.rows.height) == 2 * whole
    assert frames.left == at - ends[whole]


def test_a_changed_byte_ends_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.segment"
    writer = SegmentWriter(path)
    for n in range(2):
        writer.append(pl.DataFrame({"n": [n]}))
    writer.close()
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    frames = read_frames(path)
    assert frames.rows is not None
    assert frames.rows["n"].to_list() == [0]
    assert frames.left == len(content) // 2


def _serve(root: str, first: int, acknowledged: Any) -> None:
    log = ServedLog(root, FRAUD, segment_bytes=6_000)
    for n in range(first, first + 100_000):
        log.append([served_row(n)])
        if n % 5 == 4 and log.flush():
            acknowledged.value = n


def test_killed_processes_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # the threads of polars survive no fork
    values = [context.Value("q", -1, lock=False) for _ in range(3)]
    for round_ in range(2):
        firsts = [round_ * 1_000_000 + k * 200_000 for k in range(3)]
        for value, first in zip(values, firsts, strict=True):
            value.value = first
        workers = [
            context.Process(target=_serve, args=(str(tmp_path), first, value))
            for first, value in zip(firsts, values, strict=True)
        ]
        for worker in workers:
            worker.start()
        _wait_until(lambda: min(value.value % 200_000 for value in values) > 50)
        numbers(tmp_path)  # while they write
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)  # type: ignore[arg-type]
            worker.join()
        found = numbers(tmp_path)
        assert len(found) == len(set(found))
        for value, first in zip(values, firsts, strict=True):
            mine = [n for n in found if first <= n < first + 200_000]
            lost = read_losses(tmp_path, "fraud").rows()
            assert mine == list(range(first, first + len(mine))), lost  # without a gap
            assert mine[-1] >= value.value
    with ServedLog(tmp_path, FRAUD) as log:
        log.append([served_row(5_000_000)])
    assert numbers(tmp_path) == [*found, 5_000_000]
    assert not list(tmp_path.glob("served/fraud/segments/*.segment"))


def test_a_log_that_was_used_before_a_fork_drops_in_the_child_and_says_so(tmp_path: Path) -> None:
    log = ServedLog(tmp_path, FRAUD)
    log.append([served_row(1)])
    log.flush()
    child = os.fork()
    if child == 0:
        log.append([served_row(2)])
        log.close()
        os._exit(log.dropped)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 1
    log.close()
    assert numbers(tmp_path) == [1]
    assert "open the log after it" in read_losses(tmp_path, "fraud")["why"][0]


def test_only_one_tidies_up(tmp_path: Path) -> None:
    with ServedLog(tmp_path, FRAUD, max_bytes=1) as log:
        log.append([served_row(1)])
    folder = LogFolder(tmp_path / "served" / "fraud")
    with (folder.path / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        folder.prune(0)
        folder.adopt()
    assert numbers(tmp_path) == [1]


def _wait_until(done: Any) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.01)
