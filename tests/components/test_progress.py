"""Long work says how far it is, and the display of a run shows it."""

import io

import pytest

from components import progress
from pipelines.events import STARTED, NodeEvent
from pipelines.progress import PlainProgress, noted


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    yield now
    progress.forget("work")


def shown(steps):
    stream = io.StringIO()
    display = PlainProgress(stream)
    display.on(NodeEvent("BulkInferrer", STARTED))
    with noted(display):
        steps()
    return [line.split(maxsplit=1)[1] for line in stream.getvalue().splitlines()[1:]]


def test_it_is_said_every_two_seconds_how_many_are_done(clock):
    def work():
        for second in range(5):
            clock[0] = second
            progress.tell("work", 1234, "images", done=200)

    assert shown(work) == ["600 of 1,234 images", "1,000 of 1,234 images"]


def test_a_new_attempt_is_counted_anew(clock):
    def work():
        progress.tell("work", 9, "images", done=4)
        progress.forget("work")
        progress.tell("work", 9, "images")
        clock[0] = 3
        progress.tell("work", 9, "images")

    assert shown(work) == ["2 of 9 images"]


def test_nobody_listens_when_the_run_is_over(clock):
    assert shown(lambda: None) == []
    clock[0] = 9
    progress.tell("work", 9, "images")
