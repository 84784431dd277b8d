"""Shows how far a long command is: a bar on a terminal, lines elsewhere if it takes long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Progress = Callable[[int, int], None]
"""Called with how many are done, and of how many."""
_EVERY_S = 3.0
"""Seconds between two lines, and before the first."""


@contextmanager
def counting_on(terminal: TextIO, what: str, *, silent: bool) -> Iterator[Progress]:
    """The display that suits the stream; `what` is counted, such as "images"."""
    if silent:
        yield lambda done, total: None
    elif terminal.isatty():
        with _bar(terminal, what) as progress:
            yield progress
    else:
        yield _lines(terminal, what)


@contextmanager
def _bar(terminal: TextIO, what: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(
        *columns, TimeRemainingColumn(), console=Console(file=terminal), transient=True
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(terminal: TextIO, what: str) -> Progress:
    shown, said = 0, time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal shown, said
        tenth, now = 10 * done // total if total else 10, time.monotonic()
        if tenth > shown and now - said >= _EVERY_S:
            shown, said = tenth, now
            text = f"{done:,} of {total:,} {what}"
            print(f"{time.strftime('%H:%M:%S')} {text}", file=terminal, flush=True)

    return progress
