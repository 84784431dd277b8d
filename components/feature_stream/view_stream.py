"""The stream of one view in process: block by block, each in one transaction.

The watermark is the greatest event time seen, without the lateness taken off it: what comes behind
it is late, and is counted as long as it is not late by more than the lateness. With the lateness
taken off twice nothing would be corrected, and all that leaves a window would be said later.

- An event moves it to min(event time, created) only: a clock that runs ahead at the sender must not
  make all others late.
- Of several sources it is the smallest, of those that have something to read, or had a moment ago.
  The source that is furthest behind is read first.
- A row is late by the watermark of the rows before it, not of its block. So the same files make the
  same events late, wherever a stream was stopped and begun again.
- When there is nothing to read it stays where it is, unless it is told to move on.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from components.errors import BeamfleetError
from components.feature_stream.counts import Counts
from components.feature_stream.json_files import Block, next_block, unread_bytes
from components.feature_stream.key_states import Changes, KeyStates
from components.feature_stream.keying import (
    EPOCH,
    Key,
    changes_frame,
    events_frame,
    events_of,
    history_types,
    keyed_rows,
)
from components.feature_stream.ledger import Ledger
from components.feature_stream.log import CHANGES, LATE, REJECTED, stream_folder
from components.feature_stream.outbox import Outbox, rejects_frame
from components.feature_stream.state import BEFORE, Event
from components.feature_stream.sweep import Sweep
from components.feature_values.json_objects import json_object
from components.features.definition import fingerprint
from components.features.source import Source
from components.features.view import FeatureView
from components.online_store import OnlineStore

BLOCK_LINES = 5_000
"""Of a transaction."""
DUE_KEYS = 5_000
"""Of a transaction in which time goes on only."""
_US = timedelta(microseconds=1)


class ViewStream:
    """Reads the sources of a view and keeps its values up to date."""

    def __init__(
        self,
        view: FeatureView,
        online: OnlineStore | None,
        ledger: Ledger,
        root: Path,
        history: Callable[[FeatureView], pl.DataFrame] | None = None,
        patience_s: float = 0.0,
    ) -> None:
        """Goes on where the ledger says, or begins; see `run_stream`.

        Raises:
          BeamfleetError: the definition has changed, or the log is there without its state.
        """
        self.view, self._ledger, self._root = view, ledger, root
        self._sweep, self._patience_s = Sweep(view), patience_s
        self._name = f"{view.name}/v{view.version}"
        self._keys = KeyStates(self._sweep, ledger, self._name)
        self._outbox = Outbox(view, self._name, online, ledger, root)
        self._types = {source.name: history_types(source) for source in view.sources}
        self._came: dict[str, float] = {}
        self._ahead: dict[str, Block | None] = {}
        self._definition = fingerprint(view)
        if ledger.view(self._name) is None:
            self._begin(history)
        self.reload()
        self._recover()

    def reload(self) -> None:
        """Forgets what was not written.

        Raises:
          BeamfleetError: the definition has changed.
        """
        stored = self._ledger.view(self._name)
        assert stored is not None
        definition, self._number, self.watermark, counts = stored
        self.counts = Counts(**counts)
        if definition != self._definition:
            raise BeamfleetError(
                f"view {self.view.name!r} version {self.view.version} has changed since its stream "
                "began; give the changed view a new version, whose stream begins anew"
            )

    def step(self) -> bool:
        """Reads a block of the source that is furthest behind; False: there is nothing to read."""
        readable = [source for source in self.view.sources if self._peek(source)]
        if not readable:
            return False
        source = min(readable, key=self._frontier)
        block = self._ahead.pop(source.name)
        assert block is not None
        with self._ledger.transaction():
            self._take(source, block)
        self._outbox.deliver()
        self._say_what_is_due()
        return True

    def settle(self, until: datetime | None) -> None:
        """There is nothing to read: no source holds the watermark back, and it may move on."""
        if any(self._holds(source) for source in self.view.sources):
            return
        greatest = max(self._frontier(source) for source in self.view.sources)
        told = BEFORE if until is None else (until.astimezone(UTC) - EPOCH) // _US
        moved = max(self.watermark, greatest, told)
        if moved > self.watermark:
            self.watermark = moved
            with self._ledger.transaction():
                self._remember()
            self._say_what_is_due()

    def is_patient(self) -> bool:
        """Whether a source has nothing to read and still holds the watermark back."""
        return any(self._holds(source) for source in self.view.sources)

    def unread_bytes(self) -> int:
        """Of lines that have no end yet."""
        positions = self._ledger.positions
        return sum(unread_bytes(one, positions(self._name, one.name)) for one in self.view.sources)

    def _begin(self, history: Callable[[FeatureView], pl.DataFrame] | None) -> None:
        folder = stream_folder(self.view, self._root)
        if any(folder.glob("*.parquet")):
            raise BeamfleetError(
                f"{folder} has the log of a stream whose state is not there; bring the state back, "
                "or remove the folder to begin anew"
            )
        events: dict[Key, list[Event]] = defaultdict(list)
        watermark = BEFORE
        for key, event in events_of(self.view, history(self.view)) if history else ():
            events[key].append(event)
            watermark = max(watermark, event.time)
        with self._ledger.transaction():
            self._ledger.put_view(self._name, self._definition, 0, watermark, vars(Counts()))
            self._keys.begin(events, watermark)

    def _recover(self) -> None:
        """Ends what the last run had begun when it was killed."""
        for staged in stream_folder(self.view, self._root).glob(".*.tmp"):
            staged.unlink()
        self._outbox.deliver()
        self._say_what_is_due()

    def _peek(self, source: Source) -> Block | None:
        """The next block of a source; it stays until it is read."""
        if self._ahead.get(source.name) is None:
            positions = self._ledger.positions(self._name, source.name)
            self._ahead[source.name] = next_block(source, positions, BLOCK_LINES)
            if self._ahead[source.name] is not None:
                self._came[source.name] = time.monotonic()
        return self._ahead[source.name]

    def _holds(self, source: Source) -> bool:
        """Whether the watermark waits for a source."""
        patient = time.monotonic() - self._came.get(source.name, -1e9) < self._patience_s
        return patient or self._ahead.get(source.name) is not None

    def _frontier(self, source: Source) -> int:
        return self._ledger.frontier(self._name, source.name)

    def _take(self, source: Source, block: Block) -> None:
        """Reads a block, within a transaction."""
        places = [(at, line, *json_object(line)) for at, line in block.places() if line.strip()]
        rejected = [(at, line, reason) for at, line, row, reason in places if row is None]
        good = [(at, line, row) for at, line, row, _ in places if row is not None]
        made = keyed_rows(
            self.view, source, [row for *_, row in good], self._types[source.name],
            proven=self.counts.events > 0,
        ) if good else None  # fmt: skip
        for number, reason in made.rejected if made else ():
            rejected.append((*good[number][:2], reason))
        late, counted = self._apart(source, made.events if made else [])
        changes, duplicates = self._keys.update(counted, self.watermark)
        self.counts = self.counts.plus(
            rows=len(places), rejected=len(rejected), filtered=made.filtered if made else 0,
            late=len(late), duplicates=duplicates,
            events=sum(map(len, counted.values())) - duplicates,
        )  # fmt: skip
        self._ledger.put_position(self._name, source.name, block.file, block.end)
        self._post(changes, events_frame(self.view, late), rejects_frame(source, block, rejected))

    def _apart(
        self, source: Source, events: list[tuple[Key, Event]]
    ) -> tuple[list[tuple[Key, Event]], dict[Key, list[Event]]]:
        """The late events, and the others by key; moves the watermark on, event by event."""
        others = [one for one in self.view.sources if one is not source and self._holds(one)]
        held = min((self._frontier(one) for one in others), default=None)
        own, late, counted = self._frontier(source), [], defaultdict(list)
        for key, event in events:
            if self._sweep.is_late(event.time, self.watermark):
                late.append((key, event))
            else:
                counted[key].append(event)
            own = max(own, min(event.time, event.created))
            self.watermark = max(self.watermark, own if held is None else min(own, held))
        self._ledger.put_frontier(self._name, source.name, own)
        return late, counted

    def _say_what_is_due(self) -> None:
        """Sweeps the keys that the watermark wakes."""
        while due := self._ledger.due(self._name, self.watermark, DUE_KEYS):
            with self._ledger.transaction():
                self._post(self._keys.wake(due, self.watermark))
            self._outbox.deliver()

    def _post(
        self,
        changes: Changes,
        late: pl.DataFrame | None = None,
        rejected: pl.DataFrame | None = None,
    ) -> None:
        """Ends a batch, within a transaction."""
        self._number += 1
        rows = changes_frame(self.view, changes)
        self.counts = self.counts.plus(changes=rows.height)
        frames = {CHANGES: rows, LATE: late, REJECTED: rejected}
        self._outbox.post(self._number, self.watermark, frames)
        self._remember()

    def _remember(self) -> None:
        self._ledger.put_view(
            self._name, self._definition, self._number, self.watermark, vars(self.counts)
        )
