"""The change log of a long history, one slice of time after the other.

What earlier events mean for a slice is carried as elements: those still in the window, or one that
stands for all of a lifetime or of the session that goes on.
"""

import numpy as np
import polars as pl

from components.feature_values.changes import as_log, elements_of, reduced_parts
from components.feature_values.intervals import Elements, Points, enter_and_leave, points_of
from components.feature_values.ordered import Ints, in_order, key_width
from components.feature_values.partials import joined, taken
from components.features.view import FeatureView
from components.features.window import Lifetime, Session

_EVER = (1 << 63) - 1


class SlicedChanges:
    """Sweeps slices of the events of a few keys, in the order of time.

    Example:
        sliced = SlicedChanges(view)
        log = [sliced.add(events, until) for events, until in slices] + [sliced.add(last, None)]
    """

    def __init__(self, view: FeatureView) -> None:
        self.duplicates = 0
        self._view = view
        self._carried: Elements | None = None
        self._since = -_EVER

    def add(self, events: pl.DataFrame, until: int | None) -> pl.DataFrame:
        """The rows of the change log of this slice.

        Args:
          events: Keyed events, all before `until` and none before the `until` of the slice before.
          until: Microseconds since 1970; None: this is the last slice.
        """
        [ordered] = in_order(self._view, events)
        self.duplicates += ordered.duplicates
        elements = elements_of(self._view, ordered)
        if self._carried is not None:
            elements = _after(self._carried, elements)
        points = points_of(self._view.transformer.window, elements)
        parts = reduced_parts(self._view, elements, points)
        end = _EVER if until is None else until
        rows = np.flatnonzero((points.time >= self._since) & (points.time < end))
        told = Points(points.code[rows], points.time[rows], points.created[rows], points.sweep)
        log = as_log(self._view, elements.keys, told, tuple(taken(part, rows) for part in parts))
        self._carried, self._since = self._to_carry(elements, points, parts, end), end
        return log

    def _to_carry(
        self, elements: Elements, points: Points, parts: tuple[tuple[object, ...], ...], end: int
    ) -> Elements:
        window = self._view.transformer.window
        last = np.flatnonzero(np.diff(elements.code, append=-1))
        created = _latest_created(elements)
        if isinstance(window, Lifetime | Session):
            width = key_width(window, elements.time, points.time)
            low = min(int(elements.time.min()), int(points.time.min())) if last.size else 0
            at = points.code * width + points.time - low
            spot = np.searchsorted(at, elements.code[last] * width + elements.time[last] - low)
            kept = tuple(taken(part, spot) for part in parts)
            return Elements(
                elements.keys, elements.code[last], elements.time[last], created[last], kept
            )
        leave = enter_and_leave(window, elements)[1]
        staying = np.zeros(len(elements.time), dtype=bool) if leave is None else leave >= end
        staying[last] = True  # carries `created`
        return Elements(elements.keys, elements.code, elements.time, created, elements.parts).take(
            np.flatnonzero(staying)
        )


def _latest_created(elements: Elements) -> Ints:
    """The greatest `created` up to each element of its key."""
    width = key_width(Lifetime(), elements.created)
    low = int(elements.created.min(initial=0))
    place = elements.code * width + (elements.created - low)
    return np.maximum.accumulate(place) - elements.code * width + low


def _after(carried: Elements, new: Elements) -> Elements:
    """Both, in the order of keys and times; of a key the carried ones come first."""
    names = new.keys.columns
    keys = pl.concat([carried.keys, new.keys]).unique().sort(names)
    numbered = keys.with_row_index("__code__")
    code = np.concatenate(
        [
            one.keys.join(numbered, on=names, how="left", maintain_order="left")["__code__"]
            .cast(pl.Int64)
            .to_numpy()[one.code]
            for one in (carried, new)
        ]
    )
    time = np.concatenate([carried.time, new.time])
    both = Elements(
        keys,
        code,
        time,
        np.concatenate([carried.created, new.created]),
        tuple(map(joined, carried.parts, new.parts)),
    )
    return both.take(np.lexsort((time, code)))
