"""How things look on the terminal."""

import re
import sys
import time
from typing import TYPE_CHECKING

from components.printable import printable
from pipelines.noise import unless_closed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STATE_STYLES = {
    "done": "green",
    "cached": "green",
    "failed": "bold red",
    "stopped": "yellow",
    "running": "cyan",
}


def console() -> "Console":
    """Standard output; a pipe or file gets no colours, no line breaks of ours and no padding."""
    from typing import IO, cast

    from rich.console import Console

    made = Console(highlight=False)
    if made.is_terminal:
        return made
    return Console(highlight=False, width=200, file=cast(IO[str], _Unpadded()))


class _Unpadded:
    """Standard output without the spaces with which tables fill their lines up."""

    encoding = "utf-8"

    def write(self, text: str) -> None:
        with unless_closed(sys.stdout):
            sys.stdout.write(re.sub(r" +(?=\n)", "", text))

    def flush(self) -> None:
        with unless_closed(sys.stdout):
            sys.stdout.flush()


def plain_table(*columns: str, right: tuple[str, ...] = ()) -> "Table":
    """A table with thin looks; columns named in `right` are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


def clock(seconds: float) -> str:
    """Local date and time of seconds since the epoch."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def figure(value: float | None) -> str:
    """Four digits of a metric, or `-`."""
    return "-" if value is None else f"{value:.4g}"


def number(value: int) -> str:
    """`12,345`."""
    return f"{value:,}"


def escaped(text: str) -> str:
    """Keeps brackets in data from being taken for markup, and the rest as `shown`."""
    from rich.markup import escape

    return escape(shown(text))


def shown(text: str) -> str:
    """A message of some lines: names of files in it are not obeyed by the terminal."""
    return "\n".join(map(printable, text.split("\n")))


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
