"""Live models under threads, and under any order of pushes, rollbacks and damage."""

import json
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from components.ensemble import live
from components.ensemble.live import LiveHandler
from tests.components.ensemble.live_models import LOADED, Named, Swaps, named, point, push

THREADS = 3
VERSIONS = 8


def test_threads_predict_while_versions_come(tmp_path):
    directory = tmp_path / "pushed"
    push(directory, named("1"))
    handler = LiveHandler(str(directory), Named, poll_s=0.001)
    model = handler.load_model()
    done = threading.Event()

    def predict(thread: int) -> list[int]:
        versions: list[int] = []
        last = False
        while not last:
            last = done.wait(0.001)
            batch = [(thread, len(versions), n) for n in range(10)]
            versions.append(version_of(handler.run_inference(batch, model), batch, directory))
        return versions

    with Swaps() as swaps, ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(predict, thread) for thread in range(THREADS)]
        for number in range(2, VERSIONS + 1):
            push(directory, named(str(number)))
            swaps.wait()
        done.set()
        for future in running:
            versions = future.result()
            assert versions == sorted(versions) and versions[-1] == VERSIONS
    assert [n for n in range(1, VERSIONS + 1) if LOADED[f"{directory}/{n}"]()] == [VERSIONS]


def version_of(results: list, batch: list, directory: Path) -> int:
    """Of a whole batch, which is one version's."""
    assert [result.example for result in results] == batch
    assert [result.inference[1] for result in results] == batch
    [(name, path)] = {(result.inference[0], result.model_id) for result in results}
    assert path == f"{directory}/{name}"
    return int(name)


ACTIONS = st.one_of(
    st.sampled_from(["push", "break", "look", "forget"]),
    st.tuples(st.just("point"), st.integers(1, 5)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ACTIONS, max_size=12))
def test_any_history_serves_the_last_whole_version_that_was_looked_at(actions):
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "pushed")
        push(directory, named("1"))
        handler = LiveHandler(str(directory), Named, 3600)
        model = handler.load_model()
        pushed, pointed, served = ["1"], 1, "1"  # a version without a name cannot be loaded
        for action in actions:
            if action == "push" or action == "break":
                pushed.append(str(len(pushed) + 1) if action == "push" else "")
                push(directory, named(pushed[-1]))
                pointed = len(pushed)
            elif action == "forget":  # as after damage that somebody mended
                pointed = 0
                content = {"version": 0, "highest": len(pushed)}
                (directory / "CURRENT").write_text(json.dumps(content))
            elif action == "look":
                expected = pushed[pointed - 1] if pointed else ""
                assert model.refresh() == bool(expected and expected != served)
                assert bool(model.failure) == (not expected)
                served = expected or served
            elif pointed and action[1] <= len(pushed):
                pointed = action[1]
                point(directory, pointed)
            [result] = handler.run_inference(["x"], model)
            assert result == ("x", (served, "x"), f"{directory}/{served}")


def test_retries_wait(monkeypatch, tmp_path):
    """A version that fails to load is not loaded again with each look."""
    directory = tmp_path / "pushed"
    push(directory, named("1"))
    loads = []

    def make(path: str) -> Named:
        loads.append(path)
        return Named(path)

    model = LiveHandler(str(directory), make, 3600).load_model()
    push(directory, named(""))
    for _ in range(5):
        assert not model.refresh()
    assert loads.count(f"{directory}/2") == 1
    monkeypatch.setattr(live, "_RETRY_S", 0.0)
    push(directory, named(""))
    for _ in range(5):
        assert not model.refresh()
    assert loads.count(f"{directory}/3") == 5
