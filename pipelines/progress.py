"""Shows a run while it goes on: a live table on a terminal, plain lines elsewhere."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from components.progress import LOGGER
from pipelines.events import CACHED, DONE, FAILED, SKIPPED, STARTED, NodeEvent
from pipelines.noise import unless_closed

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WAITING = "waiting"
_LOOK = {
    WAITING: ("·", "dim"),
    STARTED: ("▶", "cyan"),
    DONE: ("✔", "green"),
    CACHED: ("✔", "green"),
    FAILED: ("✘", "bold red"),
    SKIPPED: ("○", "yellow"),
}
_WORDS = {CACHED: "from cache"}


class PlainProgress:
    """One line when a node starts and one when it ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.flush()

    def stage(self, text: str) -> None:
        """What goes on before there are nodes."""
        self._line(text)

    def nodes(self, names: list[str]) -> None:
        """See Observer."""
        self._line(f"{len(names)} nodes: {', '.join(names)}")

    def on(self, event: NodeEvent) -> None:
        """See Observer."""
        seconds = "" if event.state == STARTED else f" ({event.seconds:.1f} s)"
        self._line(f"{event.node}: {_words(event)}{seconds}")

    def note(self, text: str) -> None:
        """How far the running node is."""
        self._line(f"  {text}")

    def _line(self, text: str) -> None:
        with unless_closed(self._stream):
            print(f"{time.strftime('%H:%M:%S')} {text}", file=self._stream, flush=True)


class LiveProgress:
    """A table of all nodes that is drawn anew four times a second."""

    def __init__(self, console: "Console", title: str) -> None:
        from rich.live import Live

        self._title = title
        self._stage = self._note = ""
        self._states: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._since = time.monotonic()
        self._started: dict[str, float] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=4)

    def __enter__(self) -> "LiveProgress":
        self._live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._stage = ""
        self._live.stop()

    def stage(self, text: str) -> None:
        """What goes on before there are nodes."""
        self._stage, self._since = text, time.monotonic()

    def nodes(self, names: list[str]) -> None:
        """See Observer."""
        self._stage = ""
        self._states = dict.fromkeys(names, WAITING)

    def note(self, text: str) -> None:
        """How far the running node is."""
        self._note = text

    def on(self, event: NodeEvent) -> None:
        """See Observer."""
        self._note = ""
        if event.state == STARTED:
            self._started[event.node] = time.monotonic()
        self._seconds[event.node] = event.seconds
        self._states[event.node] = event.state
        self._words[event.node] = _words(event)
        self._live.refresh()

    def _table(self) -> "RenderableType":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False, title_justify="left")
        table.title = Text(self._title, style="bold")
        table.add_column(width=1)
        table.add_column(min_width=20)
        table.add_column(min_width=10)
        table.add_column(justify="right", min_width=8)
        if self._stage:
            waited = f"{time.monotonic() - self._since:.0f} s"
            table.add_row(Text("▶", "cyan"), self._stage, "", Text(waited, "dim"))
        for node, state in self._states.items():
            mark, style = _LOOK[state]
            text = (state == STARTED and self._note) or self._words.get(node, state)
            words = Text(text, style)
            table.add_row(Text(mark, style), node, words, Text(self._time(node, state), "dim"))
        return table

    def _time(self, node: str, state: str) -> str:
        if state == WAITING:
            return ""
        if state == STARTED:
            return f"{time.monotonic() - self._started[node]:.0f} s"
        return f"{self._seconds[node]:.1f} s"


def _words(event: NodeEvent) -> str:
    words = _WORDS.get(event.state, event.state)
    return f"{words}: {event.reason}" if event.reason else words


class Silent:
    """Shows nothing: for `--json`."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def stage(self, text: str) -> None:
        """Nothing."""

    def nodes(self, names: list[str]) -> None:
        """Nothing."""

    def on(self, event: NodeEvent) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


Progress = PlainProgress | LiveProgress | Silent


class _Notes(logging.Handler):
    """Hands what long work says of itself to the display."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.note(record.getMessage())


@contextmanager
def noted(progress: Progress) -> Iterator[None]:
    """Shows how far the running node is, where it says so."""
    logger, handler = logging.getLogger(LOGGER), _Notes(progress)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def progress_on(terminal: TextIO, title: str, *, silent: bool) -> Progress:
    """The display that suits the stream."""
    if silent:
        return Silent()
    if not terminal.isatty():
        return PlainProgress(terminal)
    from rich.console import Console

    return LiveProgress(Console(file=terminal), title)
