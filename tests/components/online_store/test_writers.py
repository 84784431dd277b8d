"""Writers that race, repeat themselves and are killed."""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.online_store import OnlineStore, open_online_store
from tests.components.online_store.views import at, new_view
from tests.components.online_store.writing import many, points, written

ROOT = Path(__file__).parents[3]
NOW = 6
POINTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 4)), max_size=14
)
RACING = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def newest(found: list[tuple[str, int, int]], card: str, now: int) -> tuple[int, int] | None:
    return max(((v, c) for k, v, c in found if k == card and v <= now), default=None)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


def check(store: OnlineStore, name: str, found: list[tuple[str, int, int]]) -> None:
    keys = pl.DataFrame({"card_id": ["a", "b"]})
    for now in range(NOW, 11):
        read = store.read(new_view(name=name), keys, at(now))
        assert read["card_id"].to_list() == ["a", "b"]
        for card, _, mean, count, word, *_ in read.iter_rows():
            expected = newest(found, card, now)
            assert expected == (None if mean is None else (mean, count)), (card, now)
            assert expected is None or word == f"{card} {expected[0]} {expected[1]}"


@RACING
@given(found=POINTS, data=st.data())
def test_any_order_and_repeats_from_two_threads(
    uri: str, store: OnlineStore, found: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    orders = [data.draw(st.permutations(found + found[::3])) for _ in range(2)]
    half = len(found) // 2
    name = new_view().name
    with ThreadPoolExecutor(2) as pool:
        parts = [found[:half] + orders[0][:5], found[half:] + orders[1][:5]]
        for done in [pool.submit(written, uri, name, part, NOW) for part in parts]:
            done.result()
    check(store, name, found)


@settings(RACING, max_examples=6)
@given(found=POINTS.filter(lambda one: len(one) > 6))
def test_two_processes_at_once(
    uri: str, store: OnlineStore, processes: Executor, found: list[tuple[str, int, int]]
) -> None:
    name = new_view().name
    parts = [found, found[::-1]]
    for done in [processes.submit(written, uri, name, part, NOW) for part in parts]:
        done.result()
    check(store, name, found)


@settings(RACING, max_examples=25)
@given(found=POINTS, cut=st.integers(0, 14))
def test_in_one_write_as_in_several(
    store: OnlineStore, found: list[tuple[str, int, int]], cut: int
) -> None:
    view = new_view()
    for part in (found[cut:], found[:cut]):
        done = store.write(view, points(view, part), now=at(NOW))
        assert done.written + done.stale == len(part)
    check(store, view.name, found)


def test_earlier_values_are_not_kept(uri: str, store: OnlineStore, tmp_path: Path) -> None:
    view = new_view()
    for v in range(20):
        store.write(view, points(view, [("a", v, v)]), now=at(v))
    assert store.read(view, pl.DataFrame({"card_id": ["a"]}), at(18))["mean"][0] is None


@pytest.mark.parametrize("after_s", [0.03, 0.3])
def test_a_killed_writer_leaves_whole_rows_and_a_repeat_all_of_them(
    uri: str, after_s: float
) -> None:
    view, count = new_view(), 40_000
    command = [sys.executable, "-m", "tests.components.online_store.writing"]
    with subprocess.Popen(
        [*command, uri, view.name, str(count)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as writer:
        assert writer.stdout and writer.stdout.readline() == "writing\n"
        time.sleep(after_s)
        writer.kill()
        assert "written" not in writer.stdout.read(), "it was killed too late"
    store, rows = open_online_store(uri), many(view, count)
    there = store.read(view, rows, at(1))
    whole = there.filter(pl.col("valid_from").is_not_null())
    assert whole.equals(rows.drop("created").join(whole, on="card_id", how="semi"))
    assert there.filter(pl.col("valid_from").is_null()).drop(
        "card_id"
    ).null_count().sum_horizontal()[0] == 6 * (count - whole.height)
    done = store.write(view, rows)
    assert (done.written, done.stale) == (count, 0)
    assert store.read(view, rows, at(1)).equals(rows.drop("created"))
    store.close()
