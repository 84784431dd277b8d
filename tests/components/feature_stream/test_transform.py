"""The sweep on Beam's TestStream: what is written last is what the backfill says."""

from dataclasses import replace
from itertools import zip_longest
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream as BeamStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from components.feature_stream.state import BEFORE, Event
from components.feature_stream.sweep import Sweep
from components.feature_stream.transform import StreamFeatures
from components.features.window import Window
from tests.components.feature_stream import test_sweep
from tests.components.feature_stream.streams import (
    AGGREGATORS,
    Arrival,
    arrivals,
    by_definition,
    row_of,
    utc,
    view_of,
    windows,
)

MANY = settings(
    max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
MERGED = 5
"""Random streams of one pipeline, each with keys of its own: a pipeline takes its time to begin."""
OUT: dict[str, list[Any]] = {}


def raw(key: str, event: Event) -> dict[str, Any]:
    """As a source has it; the view's transform makes value and code of the amount."""
    return {
        "card_id": key, "ts": utc(event.time).isoformat(), "seen": utc(event.created).isoformat(),
        "id": event.id, "amount": event.values[0],
    }  # fmt: skip


def run(view: Any, stream: list[Arrival], sweep: Sweep | None = None) -> dict[str, list[Any]]:
    """What came out, in order; half of the events are of the second source, if there is one."""
    OUT.update(changes=[], late=[], rejected=[])
    names = [source.name for source in view.sources]
    test = BeamStream(output_tags=names)
    clock, waiting = BEFORE, {name: [] for name in names}
    for number, one in enumerate(stream):
        if one.event is not None:
            row = TimestampedValue(raw(one.key, one.event), Timestamp(micros=one.event.time))
            waiting[names[number % len(names)]].append(row)
        elif one.watermark > clock:
            clock = one.watermark
            for name in names:
                test = add(test, waiting, name)
                test = test.advance_watermark_to(Timestamp(micros=clock), tag=name)
    for name in names:
        test = add(test, waiting, name).advance_watermark_to_infinity(tag=name)
    options = PipelineOptions(["--streaming", "--allow_unsafe_triggers"])
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        rows = pipeline | test
        given = {name: rows[name] for name in names} if len(names) > 1 else rows
        made = given | StreamFeatures(view, sweep)
        for name in OUT:
            made[name] | name >> beam.Map(keep, name)
    return OUT


def add(test: BeamStream, waiting: dict[str, list[Any]], name: str) -> BeamStream:
    """What came before the watermark moves, in up to two bundles."""
    rows, waiting[name] = waiting[name], []
    for part in (rows[::2], rows[1::2]):
        test = test.add_elements(part, tag=name) if part else test
    return test


@st.composite
def merged(draw: st.DrawFn) -> list[Arrival]:
    """Random streams with one watermark."""
    made = []
    for number in range(MERGED):
        made.append([replace(one, key=f"{number}{one.key}") for one in draw(arrivals())])
    return [one for several in zip_longest(*made) for one in several if one is not None]


def keep(one: Any, name: str) -> None:
    """By name, so that it is not copied with what it refers to."""
    OUT[name].append(one)


def events_of(stream: list[Arrival], several: bool) -> list[tuple[str, Event]]:
    """As the transforms leave them."""
    made = []
    for number, one in enumerate(stream):
        if one.event is not None:
            value = one.event.values[0]
            code = None if value is None else f"r{value}"
            values = (value, one.event.values[1], code)
            if several:
                values = (None, values[1], code) if number % 2 else (value, values[1], None)
            made.append((one.key, one.event._replace(values=values)))
    return made


def check(window: Window, stream: list[Arrival], several: bool, sweep: Any = None) -> None:
    """The property."""
    view = view_of(window, several)
    out = run(view, stream, sweep and sweep(view))
    counted = events_of(stream, several)
    for row in out["late"]:
        counted.remove(next(
            (key, event) for key, event in counted
            if row | row_of(key, event) == row and is_late(stream, key, event, window)
        ))  # fmt: skip
    expected = by_definition(view, counted)
    written = {(row["card_id"], row["valid_from"]): row for row in out["changes"]}
    assert written.keys() == {(key, utc(time)) for key, time in expected}
    for (key, time), change in expected.items():
        row = written[key, utc(time)]
        assert row["created"] == utc(change.created)
        assert test_sweep.same([row[name] for name in AGGREGATORS], change.features)
    assert not out["rejected"]


def is_late(stream: list[Arrival], key: str, event: Event, window: Window) -> bool:
    """By the watermark at which it came."""
    clock = BEFORE
    for one in stream:
        clock = max(clock, one.watermark)
        same = one.event is not None and one.key == key and one.event[:3] == event[:3]
        if same and event.time < clock - window.lateness_us:
            return True
    return False


@pytest.mark.parametrize("several", [False, True])
def test_the_last_write_is_what_history_says(several: bool) -> None:
    @settings(MANY, max_examples=4)  # the sweep has hundreds of its own
    @given(windows(), merged())
    def holds(window: Window, stream: list[Arrival]) -> None:
        check(window, stream, several)

    holds()


FAULTS = [
    test_sweep.Forgets, test_sweep.EvictsEarly, test_sweep.CountsTwice, test_sweep.SetsNoTimer,
    test_sweep.IgnoresLateness, test_sweep.WindowTooLong, test_sweep.WindowTooShort,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_caught_by_the_same_property(fault: type[Sweep]) -> None:
    @settings(MANY, max_examples=40, phases=[Phase.generate], report_multiple_bugs=False)
    @given(windows(), merged())
    def holds(window: Window, stream: list[Arrival]) -> None:
        check(window, stream, False, fault)

    with pytest.raises(BaseException) as error:
        holds()
    assert not isinstance(error.value, KeyboardInterrupt)
