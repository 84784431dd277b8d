"""Change points of what was known: an event counts once it has happened and been created.

Events are then no queue: one that comes late counts behind others that are younger. Keys whose
events came in order are swept as ever, the others by a tree over their change points.
"""

import itertools
from bisect import insort

import numpy as np

from components.feature_values.intervals import (
    Axis,
    Elements,
    Points,
    distinct,
    enter_and_leave,
    ranges,
    session_bounds,
)
from components.feature_values.ordered import Ints
from components.feature_values.sweeps import Bools, Pairs, Ranges
from components.feature_values.tree import Lifetimes, Tree
from components.features.window import Session, Window


def known_points(window: Window, elements: Elements) -> list[tuple[Elements, Points]]:
    """Change points, and the elements that they are about; each key is in one of the parts."""
    enter, leave = enter_and_leave(window, elements)
    enter = np.maximum(enter, elements.created)
    if leave is not None and not isinstance(window, Session):
        counting = np.flatnonzero(enter < leave)
        elements, enter = elements.take(counting), enter[counting]
    disordered = _disordered(elements.code, enter)
    if not disordered.any():
        return [(elements, _queue(window, elements, enter))]
    queue, late = np.flatnonzero(~disordered), np.flatnonzero(disordered)
    parts = [
        (elements.take(queue), enter[queue], _queue),
        (elements.take(late), enter[late], _late),
    ]
    return [(some, points(window, some, known)) for some, known, points in parts]


def _disordered(code: Ints, enter: Ints) -> Bools:
    """Whether the key of each element has one that came before an older one."""
    back = (enter[1:] < enter[:-1]) & (code[1:] == code[:-1])
    keys = np.zeros(int(code.max(initial=-1)) + 1, dtype=bool)
    keys[code[1:][back]] = True
    return keys[code]


def _queue(window: Window, elements: Elements, enter: Ints) -> Points:
    if isinstance(window, Session):
        return _sessions(window, elements, enter)
    return ranges(window, elements, enter, enter_and_leave(window, elements)[1])


def _late(window: Window, elements: Elements, enter: Ints) -> Points:
    if isinstance(window, Session):
        return _late_sessions(window, elements, enter)
    axis = Axis(window, elements, enter)
    enters = axis.of(elements.code, enter)
    leave = enter_and_leave(window, elements)[1]
    leaves = axis.end(elements.code) if leave is None else axis.of(elements.code, leave)
    at = distinct(enters if leave is None else np.concatenate([enters, leaves]))
    order = np.argsort(enters, kind="stable")
    right = np.searchsorted(enters[order], at, "right")
    first, last = np.searchsorted(at, enters), np.searchsorted(at, leaves)
    sweep = Tree(first, last, len(at), elements.code)
    if leave is None:
        left = np.searchsorted(elements.code, elements.code[order][right - 1])
        sweep = Lifetimes(first, last, len(at), elements.code, Pairs(order, left, right))
    return axis.points(elements.code[order], elements.created[order], at, sweep, right)


def _sessions(window: Session, elements: Elements, enter: Ints) -> Points:
    """Of events that came in order: a session is over, too, while its next event is on its way."""
    axis = Axis(window, elements, enter)
    enters, over = axis.of(elements.code, enter), elements.time + window.gap_us
    expiry = axis.of(elements.code, over)
    ends = (over > enter) & np.append(expiry[:-1] < enters[1:], np.ones(min(len(enters), 1), bool))
    at = distinct(np.concatenate([enters, expiry[ends]]))
    right = np.searchsorted(enters, at, "right")
    left = np.where(at >= expiry[right - 1], right, session_bounds(window, elements)[0][right - 1])
    return axis.points(elements.code, elements.created, at, Ranges(left, right), right)


def _late_sessions(window: Session, elements: Elements, enter: Ints) -> Points:
    """Key by key, event by event: a late one may join two sessions."""
    found = _Found()
    edges = np.flatnonzero(np.diff(elements.code, prepend=-1, append=-1)).tolist()
    for first, end in itertools.pairwise(edges):
        _sweep_key(window, elements, enter, range(first, end), found)
    return found.points()


class _Found:
    """Change points of late sessions, as they are found."""

    def __init__(self) -> None:
        self.code: list[int] = []
        self.time: list[int] = []
        self.created: list[int] = []
        self.order: list[int] = []
        self.left: list[int] = []
        self.right: list[int] = []

    def add(self, code: int, time: int, created: int, window: list[int]) -> None:
        self.code.append(code)
        self.time.append(time)
        self.created.append(created)
        self.left.append(len(self.order))
        self.order.extend(window)
        self.right.append(len(self.order))

    def points(self) -> Points:
        code, time, created = map(_ints, (self.code, self.time, self.created))
        return Points(code, time, created, Pairs(*map(_ints, (self.order, self.left, self.right))))


def _ints(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _sweep_key(
    window: Session, elements: Elements, enter: Ints, rows: range, found: _Found
) -> None:
    code, gap = int(elements.code[rows[0]]), window.gap_us
    time = dict(zip(rows, elements.time[rows[0] : rows[-1] + 1].tolist(), strict=True))
    waiting = sorted((int(enter[row]), row) for row in rows)
    known: list[int] = []
    created = int(elements.created[waiting[0][1]])
    for place, (at, row) in enumerate(waiting):
        insort(known, row)
        created = max(created, int(elements.created[row]))
        following = waiting[place + 1][0] if place + 1 < len(waiting) else None
        if following == at:
            continue
        over = time[known[-1]] + gap
        first = len(known) - 1
        while first and time[known[first]] - time[known[first - 1]] < gap:
            first -= 1
        found.add(code, at, created, known[first:] if at < over else [])
        if at < over and (following is None or over < following):
            found.add(code, over, created, [])
