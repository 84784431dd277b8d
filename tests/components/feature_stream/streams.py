"""Random streams, the change log by its definition, and a stream that is swept without Beam."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from components.feature_stream.state import BEFORE, Event, KeyState
from components.feature_stream.sweep import Change, Sweep
from components.feature_values.keyed import TIME
from components.features import (
    Aggregator,
    Count,
    Entity,
    FeatureView,
    First,
    Last,
    Lifetime,
    Max,
    Mean,
    Parquet,
    Rolling,
    Session,
    Source,
    Std,
    Sum,
    Tumbling,
    UnifiedTransformer,
    stream_feature_view,
)
from components.features.window import Window
from tests.components.feature_values.naive import value_at

MINUTE = 60_000_000
START = datetime(2024, 1, 1, tzinfo=UTC)
START_US = 1_704_067_200 * 1_000_000
CARD = Entity("card", keys=["card_id"])
TXNS = Source("txns", batch=Parquet("x"), event_time="ts", created="seen", id="id")
FAILS = Source("fails", batch=Parquet("y"), event_time="ts", created="seen", id="id")


class Joined(Aggregator[tuple[Any, ...]]):
    """All values in order: one of one's own that tells any difference."""

    def zero(self) -> tuple[Any, ...]:
        return ()

    def add(self, state: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
        return (*state, value)

    def merge(self, earlier: tuple[Any, ...], later: tuple[Any, ...]) -> tuple[Any, ...]:
        return earlier + later

    def extract(self, state: tuple[Any, ...]) -> str | None:
        return " ".join(map(str, state)) or None


AGGREGATORS = {
    "count": (Count(), int),
    "values": (Count("value"), int),
    "joined": (Joined(), str),
    "sum": (Sum(), float),
    "mean": (Mean(), float),
    "std": (Std(), float),
    "max": (Max(), float),
    "first": (First(), float),
    "last_time": (Last("event_time"), datetime),
    "code": (Last("code"), str),
}


def view_of(window: Window, several: bool = False) -> FeatureView:
    """A view of one or of two sources with all kinds of aggregators."""
    sources = [TXNS, FAILS] if several else [TXNS]
    transforms = (with_value, with_code) if several else (with_both,)

    @stream_feature_view(
        entities=[CARD],
        source=sources,
        schema={name: kind for name, (_, kind) in AGGREGATORS.items()},
        online=True,
    )
    def view(*events: Any) -> Any:
        aggregators = tuple(one for one, _ in AGGREGATORS.values())
        return events | UnifiedTransformer(transforms, window, aggregators)

    return view


def with_value(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(value=pl.col("amount").cast(pl.Float64))


def with_code(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(code="r" + pl.col("amount").cast(pl.String))


def with_both(rows: pl.DataFrame) -> pl.DataFrame:
    return with_code(with_value(rows))


@dataclass(frozen=True)
class Arrival:
    """An event, or a move of the watermark."""

    key: str = ""
    event: Event | None = None
    watermark: int = BEFORE


@st.composite
def windows(draw: st.DrawFn) -> Window:
    lateness = f"{draw(st.integers(0, 7))}m"
    size = f"{draw(st.integers(1, 6))}m"
    kind = draw(st.sampled_from((Rolling, Tumbling, Session, Lifetime)))
    return kind(lateness=lateness) if kind is Lifetime else kind(size, lateness=lateness)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Arrival]:
    """Out of order, late, twice, of several keys; the watermark moves at random."""
    now, made = 0, []
    for _ in range(draw(st.integers(1, 24))):
        move = draw(st.integers(-14, 5))
        if move > 0:
            now += move
            made.append(Arrival(watermark=at(now)))
            continue
        there = [one for one in made if one.event is not None]
        if there and draw(st.integers(0, 4)) == 0:
            again = draw(st.sampled_from(there))
            seen = again.event.created + draw(st.integers(-1, 1)) * MINUTE
            made.append(Arrival(key=again.key, event=again.event._replace(created=seen)))
            continue
        minute = now + draw(st.integers(-9, 5))
        value = draw(st.sampled_from((None, 1.0, 2.0, -3.5, 0.25)))
        code = draw(st.sampled_from((None, "r1", "r2")))
        event = Event(
            at(minute),
            at(minute + draw(st.integers(-1, 6))),
            draw(st.sampled_from(("a", "b", None))),
            (value, utc(at(minute)), code),
        )
        made.append(Arrival(key=draw(st.sampled_from("xyz")), event=event))
    return made


def at(minute: int) -> int:
    return START_US + minute * MINUTE


def utc(time: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)


@dataclass
class Streamed:
    """What came out."""

    written: dict[tuple[str, int], Change] = field(default_factory=dict)
    """The last write for each key and valid_from."""
    counted: list[tuple[str, Event]] = field(default_factory=list)
    """All events but the late ones."""
    late: list[tuple[str, Event]] = field(default_factory=list)
    duplicates: int = 0
    states: dict[str, KeyState] = field(default_factory=dict)


def streamed(sweep: Sweep, stream: list[Arrival], exact: bool) -> Streamed:
    """Sweeps event by event, and lets every key wake when it asked for it.

    Args:
      exact: A key knows the watermark, as in process; else only that it has been woken, as on Beam.
    """
    made, clock = Streamed(), BEFORE
    for one in [*stream, Arrival(watermark=at(10_000))]:
        if one.event is None:
            clock = max(clock, one.watermark)
            for key in made.states:
                _wake(made, sweep, key, clock, exact)
            continue
        state = made.states.setdefault(one.key, KeyState())
        if sweep.is_late(one.event.time, clock if exact else state.clock):
            made.late.append((one.key, one.event))
            continue
        made.counted.append((one.key, one.event))
        _update(made, sweep, one.key, [one.event], clock if exact else state.clock)
        _wake(made, sweep, one.key, clock, exact)
    return made


def _wake(made: Streamed, sweep: Sweep, key: str, clock: int, exact: bool) -> None:
    while (wake := sweep.wake(made.states[key])) is not None and wake <= clock:
        _update(made, sweep, key, [], clock if exact else wake)
        assert sweep.wake(made.states[key]) != wake, "it sleeps no more"


def _update(made: Streamed, sweep: Sweep, key: str, events: list[Event], clock: int) -> None:
    state = KeyState.from_bytes(made.states[key].to_bytes())
    swept = sweep.update(state, events, clock)
    made.states[key] = state
    made.duplicates += swept.duplicates
    made.written |= {(key, change.valid_from): change for change in swept.changes}


def by_definition(
    view: FeatureView, events: list[tuple[str, Event]]
) -> dict[tuple[str, int], Change]:
    """The change log, point by point."""
    made = {}
    for key in {key for key, _ in events}:
        rows = [row_of(key, event) for one, event in events if one == key]
        frame = pl.DataFrame(rows, schema_overrides=SCHEMA)
        times = sorted({event.time for one, event in events if one == key})
        kept = _once([event for one, event in events if one == key])
        enter = _enter(view.transformer.window)
        for point in sorted(_points(view.transformer.window, times)):
            created = max(event.created for event in kept if enter(event.time) <= point)
            made[key, point] = Change(point, created, value_at(view, frame, [key], utc(point)))
    return made


SCHEMA = {"event_time": TIME, "created": TIME, "event_id": pl.String(), "value": pl.Float64()}
SCHEMA |= {"code": pl.String()}


def row_of(key: str, event: Event) -> dict[str, Any]:
    return {
        "card_id": key,
        "event_time": utc(event.time),
        "created": utc(event.created),
        "event_id": event.id,
        "value": event.values[0],
        "code": event.values[2],
    }


def _once(events: list[Event]) -> list[Event]:
    """Of the same time and id the one that was created first."""
    first: dict[Any, Event] = {}
    for number, event in enumerate(events):
        same = (event.time, event.id if event.id is not None else number)
        if same not in first or event.created < first[same].created:
            first[same] = event
    return list(first.values())


def _enter(window: Window) -> Callable[[int], int]:
    if isinstance(window, Tumbling):
        return lambda time: (time // window.size_us + 1) * window.size_us
    return lambda time: time


def _points(window: Window, times: list[int]) -> Iterator[int]:
    for index, time in enumerate(times):
        match window:
            case Lifetime():
                yield time
            case Rolling():
                yield from (time, time + window.size_us)
            case Tumbling():
                end = (time // window.size_us + 1) * window.size_us
                yield from (end, end + window.size_us)
            case Session():
                yield time
                if index + 1 == len(times) or times[index + 1] - time >= window.gap_us:
                    yield time + window.gap_us
