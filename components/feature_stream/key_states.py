"""The states of a view's keys, which lie in the ledger between two sweeps."""

from collections.abc import Iterable, Mapping

from components.feature_stream.codec import decoded, encoded
from components.feature_stream.keying import Key
from components.feature_stream.ledger import Ledger
from components.feature_stream.state import Event, KeyState
from components.feature_stream.sweep import Change, Sweep

Changes = list[tuple[Key, Change]]
Stored = tuple[bytes, bytes, int | None]
"""A key's row in the ledger: key, state, and the watermark at which it wakes."""


class KeyStates:
    """Of one view; what writes does so within a transaction of the ledger."""

    def __init__(self, sweep: Sweep, ledger: Ledger, name: str) -> None:
        """Of the view of this name in the ledger."""
        self._sweep, self._ledger, self._name = sweep, ledger, name

    def begin(self, history: Mapping[Key, list[Event]], clock: int) -> None:
        """Counts the events of a history, without saying what follows from them."""
        rows = (
            self._swept(key, KeyState(), events, clock, [])[0] for key, events in history.items()
        )
        self._ledger.put_states(self._name, rows)

    def update(self, counted: Mapping[Key, list[Event]], clock: int) -> tuple[Changes, int]:
        """Counts events: what changes, and how many of them were there already."""
        changes: Changes = []
        duplicates, rows = 0, []
        for key, events in counted.items():
            stored = self._ledger.state(self._name, encoded(list(key)))
            state = KeyState() if stored is None else KeyState.from_bytes(stored)
            row, twice = self._swept(key, state, events, clock, changes)
            duplicates += twice
            rows.append(row)
        self._ledger.put_states(self._name, rows)
        return changes, duplicates

    def wake(self, due: Iterable[tuple[bytes, bytes]], clock: int) -> Changes:
        """Sweeps keys without new events, of which the ledger gave key and state."""
        changes: Changes = []
        rows = [
            self._swept(tuple(decoded(key)), KeyState.from_bytes(state), [], clock, changes)[0]
            for key, state in due
        ]
        self._ledger.put_states(self._name, rows)
        return changes

    def _swept(
        self, key: Key, state: KeyState, events: list[Event], clock: int, changes: Changes
    ) -> tuple[Stored, int]:
        """The key's row, and how many of the events were there already; adds to the changes."""
        swept = self._sweep.update(state, events, clock)
        changes += [(key, change) for change in swept.changes]
        return (encoded(list(key)), state.to_bytes(), self._sweep.wake(state)), swept.duplicates
