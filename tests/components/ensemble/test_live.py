"""A live model: swapped between batches, freed, and never replaced by what cannot be loaded."""

import logging
import pickle
import threading
from pathlib import Path

import pytest
from apache_beam.ml.inference.base import PredictionResult

from components.ensemble import live
from components.ensemble.graph import Stage
from components.ensemble.live import LiveHandler
from components.ensemble.record import Record
from components.ensemble.stage_handler import StageHandler
from components.errors import BeamfleetError
from tests.components.ensemble.live_models import (
    LOADED,
    Named,
    Swaps,
    colour_handler,
    colours,
    named,
    paint,
    point,
    push,
)

SELDOM = 3600.0
"""Seconds: the test itself looks at the pointer."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    push(tmp_path / "pushed", named("first"))
    return tmp_path / "pushed"


def names(handler, model, batch=(1, 2)) -> list[tuple]:
    results = handler.run_inference(list(batch), model)
    return [(*result.inference, result.model_id) for result in results]


def test_a_new_version_replaces_the_old_one_which_is_freed(directory):
    handler = LiveHandler(str(directory), Named, SELDOM)
    model = handler.load_model()
    assert names(handler, model) == [("first", n, f"{directory}/1") for n in (1, 2)]
    push(directory, named("second"))
    assert names(handler, model)[0][0] == "first"  # nobody has looked yet
    assert model.refresh() and not model.refresh()
    assert names(handler, model) == [("second", n, f"{directory}/2") for n in (1, 2)]
    assert LOADED[f"{directory}/1"]() is None and LOADED[f"{directory}/2"]() is not None


def test_a_batch_is_of_one_version_and_keeps_it_as_long_as_it_runs(directory):
    handler = LiveHandler(str(directory), Named, SELDOM)
    model = handler.load_model()
    alive = []

    def swap() -> None:
        push(directory, named("second"))
        assert model.refresh()
        alive.append(LOADED[f"{directory}/1"]() is not None)

    found = names(handler, model, [1, swap, 3])
    assert {(name, path) for name, _, path in found} == {("first", f"{directory}/1")}
    assert alive == [True] and LOADED[f"{directory}/1"]() is None  # freed with its last batch
    assert names(handler, model)[0][0] == "second"


def test_what_cannot_be_loaded_leaves_the_old_one_and_is_tried_again(
    directory, caplog, monkeypatch
):
    handler = LiveHandler(str(directory), Named, SELDOM)
    model = handler.load_model()
    broken = Path(push(directory, named("")))
    assert not model.refresh() and not model.refresh()
    assert "JSONDecodeError" in model.failure and names(handler, model)[0][0] == "first"
    assert [r.message.split(": ")[1] for r in caplog.records] == ["still serving version 1"]
    named("mended")(broken)
    assert not model.refresh()  # not yet
    monkeypatch.setattr(live, "_RETRY_S", 0.0)
    push(directory, named(""))
    assert not model.refresh()  # another one is tried at once, then again and again
    point(directory, 2)
    assert model.refresh() and not model.failure and names(handler, model)[0][0] == "mended"


def test_a_broken_pointer_leaves_the_old_one(directory, caplog):
    model = LiveHandler(str(directory), Named, SELDOM).load_model()
    (directory / "CURRENT").write_text("{")
    assert not model.refresh() and not model.refresh()
    assert [r.levelno for r in caplog.records] == [logging.ERROR]
    assert "CURRENT is broken; roll back" in caplog.text
    (directory / "CURRENT").write_text('{"version": 1, "highest": 1}')
    assert not model.refresh() and not model.failure


def test_a_rollback_goes_back(directory):
    handler = LiveHandler(str(directory), Named, SELDOM)
    push(directory, named("second"))
    model = handler.load_model()
    assert names(handler, model)[0][0] == "second"  # not the one of when the handler was made
    point(directory, 1)
    assert model.refresh() and names(handler, model)[0][0] == "first"


def test_another_version_under_the_same_number_is_another_version(directory):
    handler = LiveHandler(str(directory), Named, SELDOM)
    model = handler.load_model()
    named("other")(directory / "1")
    (directory / "1" / "version.json").write_text('{"number": 1, "created": "later"}')
    assert model.refresh() and names(handler, model)[0][0] == "other"


def test_a_thread_looks_by_itself_and_ends_with_the_model(directory):
    handler = LiveHandler(str(directory), Named, poll_s=0.01)
    before = set(threading.enumerate())
    with Swaps() as swaps:
        model = handler.load_model()
        [thread] = set(threading.enumerate()) - before
        push(directory, named("second"))
        swaps.wait()
        push(directory, named("third"))
        swaps.wait()
    assert names(handler, model)[0][0] == "third" and thread.daemon
    del model
    thread.join(60)
    assert not thread.is_alive()


def test_an_idle_thread_does_not_outlive_its_model(directory):
    before = set(threading.enumerate())
    model = LiveHandler(str(directory), Named, SELDOM).load_model()
    [thread] = set(threading.enumerate()) - before
    del model
    thread.join(60)
    assert not thread.is_alive()


def test_without_a_version_there_is_a_clear_error(tmp_path, directory):
    with pytest.raises(BeamfleetError, match=r"nothing was pushed to .*empty yet; push a version"):
        LiveHandler(str(tmp_path / "empty"), Named)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "pushed").symlink_to(directory)
    with pytest.raises(BeamfleetError, match=r"a root of runs, which push to .*root/pushed: name"):
        LiveHandler(str(tmp_path / "root"), Named)
    named("")(directory / "1")
    with pytest.raises(ValueError, match="Expecting property name"):
        LiveHandler(str(directory), Named).load_model()


def test_a_worker_that_starts_while_the_version_is_broken_serves_the_one_before(
    directory, caplog, monkeypatch
):
    handler = LiveHandler(str(directory), Named, SELDOM)
    broken = Path(push(directory, named("")))
    model = handler.load_model()
    assert names(handler, model) == [("first", n, f"{directory}/1") for n in (1, 2)]
    assert not model.refresh() and "JSONDecodeError" in model.failure
    assert [r.message.split(": ")[1] for r in caplog.records] == ["still serving version 1"]
    named("mended")(broken)
    monkeypatch.setattr(live, "_RETRY_S", -1.0)
    model = handler.load_model()
    assert names(handler, model)[0][0] == "mended" and not model.failure


def test_what_beam_would_do_otherwise_is_refused(directory):
    with pytest.raises(BeamfleetError, match="once in each process; leave out large_model"):
        LiveHandler(str(directory), lambda path: Named(path, large_model=True))
    with pytest.raises(BeamfleetError, match="leave out watch_model_pattern"):
        LiveHandler(str(directory), Named).update_model_path("elsewhere")


def test_the_handler_within_is_pickled_batched_and_surrounded(tmp_path):
    directory = tmp_path / "pushed"
    push(directory, colours("red", "green", "blue"))
    live_handler = LiveHandler(str(directory), colour_handler, SELDOM)
    stage = Stage("colour", live_handler.with_postprocess_fn(shout), inputs="image")
    handler = pickle.loads(pickle.dumps(StageHandler(stage)))
    assert handler.batch_elements_kwargs() == {"min_batch_size": 4, "max_batch_size": 4}
    records = [Record(str(n), {"image": paint(n % 3, 100 + n)}) for n in range(9)]
    found = handler.run_inference([*records, Record("bad", {"image": None})], handler.load_model())
    assert [r.values.get("colour") for r in found] == ["RED", "GREEN", "BLUE"] * 3 + [None]
    assert {r.versions["colour"] for r in found[:9]} == {f"{directory}/1"}
    assert found[9].failure is not None and "'NoneType'" in found[9].failure.reason


def shout(result: PredictionResult) -> PredictionResult:
    return result._replace(inference=str(result.inference).upper())


class Titled(Named):
    """Names its model itself."""

    def run_inference(self, batch, model, inference_args=None):
        for example in batch:
            yield PredictionResult(example, model.name, example)


def test_the_version_comes_before_the_handlers_own_name(directory):
    handler = LiveHandler(str(directory), Titled, SELDOM)
    own = ["", f"{directory}/1", f"{directory}/1/name.json", "tiny-1", f"{directory}/10"]
    results = handler.run_inference(own, handler.load_model())
    path = f"{directory}/1"
    assert [r.model_id for r in results] == [
        path, path, path, f"{path} tiny-1", f"{path} {directory}/10",
    ]  # fmt: skip
    assert [(r.example, r.inference) for r in results] == [(name, "first") for name in own]


def test_too_few_results_are_an_error_and_no_shifted_pairs(directory):
    handler = LiveHandler(str(directory), Lossy, SELDOM)
    with pytest.raises(BeamfleetError, match="gave 1 results for 2"):
        handler.run_inference([1, 2], handler.load_model())


class Lossy(Named):
    """Forgets the first example."""

    def run_inference(self, batch, model, inference_args=None):
        return list(super().run_inference(batch, model))[1:]
