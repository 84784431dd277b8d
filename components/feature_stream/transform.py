"""The sweep on any Beam runner: keyed state, and a timer that follows the watermark."""

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from components.errors import BeamfleetError
from components.feature_stream.codec import decoded, encoded
from components.feature_stream.keying import (
    Key,
    Row,
    event_row,
    history_types,
    keyed_rows,
    typed,
    utc,
)
from components.feature_stream.state import Event, KeyState
from components.feature_stream.sweep import Change, Sweep
from components.features.source import Source
from components.features.view import FeatureView

CHANGES, LATE, REJECTED = "changes", "late", "rejected"
BATCH = 1_000
"""Rows of a bundle that the event_transform is given at once."""
_MILLISECOND = 1_000
"""Runners keep times in milliseconds."""


class StreamFeatures(beam.PTransform):
    """The change log of a view, from its sources as they arrive.

    In: rows (dictionaries) of the view's source, or {source name: rows} of several, in the global
    window. Out: `changes` (rows of the change log; the last for a key and valid_from counts),
    `late` (events beyond the lateness, as keyed) and `rejected` (source, row, reason).

    A DoFn is not told the watermark, only which of its timers have fired. What is late is measured
    by the key's last timer: an event that is late by the watermark is still counted, rightly, as
    long as nothing that it needs has been dropped.

    Example:
        made = {"txns": rows} | StreamFeatures(card_spend)
        made["changes"] | beam.Map(print)
    """

    def __init__(self, view: FeatureView, sweep: Sweep | None = None) -> None:
        """Of `view`; `sweep` takes the place of its own."""
        super().__init__()
        self._view, self._sweep = view, sweep or Sweep(view)

    def expand(self, rows: Any) -> Any:
        """Keys the rows of each source, and sweeps all events of a key together."""
        keyed, rejected = [], []
        for source, given in self._by_source(rows):
            parts = given | f"Key {source.name}" >> beam.ParDo(
                _KeyRows(self._view, source)
            ).with_outputs(REJECTED, main=CHANGES)
            # The types choose the coders of key and state: bytes, never pickle.
            as_bytes = beam.Map(_unchanged).with_output_types(tuple[bytes, bytes])
            keyed.append(parts[CHANGES] | f"Type {source.name}" >> as_bytes)
            rejected.append(parts[REJECTED])
        events = keyed | beam.Flatten()
        swept = events | "Sweep" >> beam.ParDo(_SweepKeys(self._view, self._sweep)).with_outputs(
            LATE, main=CHANGES
        )
        bad = rejected | "Flatten rejected" >> beam.Flatten()
        return {CHANGES: swept[CHANGES], LATE: swept[LATE], REJECTED: bad}

    def _by_source(self, rows: Any) -> list[tuple[Source, Any]]:
        sources = {source.name: source for source in self._view.sources}
        given = rows if isinstance(rows, Mapping) else dict.fromkeys(sources, rows)
        if given.keys() != sources.keys() or (len(sources) > 1 and given is not rows):
            raise BeamfleetError(
                f"view {self._view.name!r} reads {', '.join(sources)}; expected rows of each: "
                "{" + ", ".join(f"{name!r}: rows" for name in sources) + "} | StreamFeatures(...)"
            )
        for name, one in given.items():
            if not isinstance(one.windowing.windowfn, GlobalWindows):
                raise BeamfleetError(
                    f"view {self._view.name!r}: the rows of {name!r} are windowed; the view has "
                    "its own window, so leave them in the global one"
                )
        return [(sources[name], one) for name, one in given.items()]


class _KeyRows(beam.DoFn):
    """Rows to (key, event), both as bytes; a bundle's rows at once."""

    def __init__(self, view: FeatureView, source: Source) -> None:
        self._view, self._source = view, source
        self._rows: list[Row] = []
        self._rejected = Metrics.counter(StreamFeatures, REJECTED)

    def setup(self) -> None:
        self._types = history_types(self._source)

    def start_bundle(self) -> None:
        self._rows = []

    def process(self, row: Row) -> Iterator[Any]:
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            yield from self._flushed()

    def finish_bundle(self) -> Iterator[Any]:
        for one in self._flushed():
            if isinstance(one, beam.pvalue.TaggedOutput):
                whole = WindowedValue(one.value, Timestamp(0), (GlobalWindow(),))
                yield beam.pvalue.TaggedOutput(one.tag, whole)
            else:
                yield WindowedValue(one.value, one.timestamp, (GlobalWindow(),))

    def _flushed(self) -> Iterator[Any]:
        rows, self._rows = self._rows, []
        if not rows:
            return
        made = keyed_rows(self._view, self._source, rows, self._types)
        for key, event in made.events:
            pair = encoded(list(key)), encoded(list(event))
            yield beam.window.TimestampedValue(pair, Timestamp(micros=event.time))
        self._rejected.inc(len(made.rejected))
        for place, reason in made.rejected:
            row = {"source": self._source.name, "row": rows[place], "reason": reason}
            yield beam.pvalue.TaggedOutput(REJECTED, row)


class _SweepKeys(beam.DoFn):
    """Sweeps a key when an event comes, and when the watermark reaches what it waits for."""

    STATE = ReadModifyWriteStateSpec("state", BytesCoder())
    WAKE = TimerSpec("wake", TimeDomain.WATERMARK)

    def __init__(self, view: FeatureView, sweep: Sweep) -> None:
        self._view, self._sweep = view, sweep
        self._late = Metrics.counter(StreamFeatures, LATE)
        self._duplicates = Metrics.counter(StreamFeatures, "duplicates")

    def process(
        self,
        keyed: tuple[bytes, bytes],
        stored: Any = beam.DoFn.StateParam(STATE),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(WAKE),  # noqa: B008
    ) -> Iterator[Any]:
        key, event = tuple(decoded(keyed[0])), Event(*decoded(keyed[1]))
        state = _read(stored)
        if self._sweep.is_late(event.time, state.clock):
            self._late.inc()
            yield beam.pvalue.TaggedOutput(LATE, event_row(self._view, key, event))
            return
        yield from self._updated(key, state, [event], state.clock, stored, timer)

    @on_timer(WAKE)
    def woken(
        self,
        keyed: bytes = beam.DoFn.KeyParam,
        at: Timestamp = beam.DoFn.TimestampParam,
        stored: Any = beam.DoFn.StateParam(STATE),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(WAKE),  # noqa: B008
    ) -> Iterator[Row]:
        key = tuple(decoded(keyed))
        yield from self._updated(key, _read(stored), [], at.micros, stored, timer)

    def _updated(
        self, key: Key, state: KeyState, events: list[Event], clock: int, stored: Any, timer: Any
    ) -> Iterator[Row]:
        swept = self._sweep.update(state, events, clock)
        self._duplicates.inc(swept.duplicates)
        stored.write(state.to_bytes())
        wake = self._sweep.wake(state)
        if wake is None or wake > MAX_TIMESTAMP.micros:
            timer.clear()
        else:
            timer.set(Timestamp(micros=-(-wake // _MILLISECOND) * _MILLISECOND))
        for change in swept.changes:
            yield _row(self._view, key, change)


def _unchanged(keyed: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    return keyed


def _read(stored: Any) -> KeyState:
    content = stored.read()
    return KeyState() if content is None else KeyState.from_bytes(content)


def _row(view: FeatureView, key: Key, change: Change) -> Row:
    features = zip(view.features, change.features, strict=True)
    row = dict(zip(view.keys, key, strict=True))
    row |= {"valid_from": utc(change.valid_from), "created": utc(change.created)}
    return row | {name: typed(view, name, value) for name, value in features}
