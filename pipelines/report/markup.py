"""HTML in which nothing from data is ever markup: text is escaped, only `Html` is not."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from pipelines.render import shown

_SMALL = 3
"""Columns of a table that need not be as wide as the page."""


class Html(str):
    """Markup of ours; whatever is put into it by `fill` is escaped, unless it is Html too."""


def fill(template: str, *values: object, **named: object) -> Html:
    """The template, which is ours, with values from anywhere: `fill("<b>{}</b>", name)`."""
    safe = [escaped(value) for value in values]
    return Html(template.format(*safe, **{name: escaped(value) for name, value in named.items()}))


def escaped(value: object) -> Html:
    """Text as HTML shows it, its controls but line breaks as escapes; Html stays as it is."""
    return value if isinstance(value, Html) else Html(html.escape(shown(str(value))))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts in a row; `between` is markup of ours."""
    return Html(between.join(escaped(part) for part in parts))


class Absent(Html):
    """All that a section says: the run has nothing to show there."""


def absent(why: str) -> Absent:
    """Stands where a run has nothing to show."""
    return Absent(fill('<p class="absent">{}</p>', why))


def notice(text: object, kind: str = "warn") -> Html:
    """A line that should not be overlooked; kind is warn, bad or info."""
    return fill('<p class="notice {}">{}</p>', kind, text)


def badge(word: str, kind: str) -> Html:
    """A verdict in a word and a colour: good, bad, warn or quiet."""
    return fill('<span class="badge {}">{}</span>', kind, word)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    label: str,
    text: int = 1,
    notes: int = 0,
) -> Html:
    """A table that scrolls sideways where it is too wide.

    Args:
      columns: Heads.
      rows: Cells; None is shown as a dash.
      label: Says what it is to who cannot see it.
      text: So many columns from the left are words, the others numbers; 99 for all.
      notes: So many columns from the right are words that may be long.
    """
    numbers = max(0, len(columns) - text - notes)
    kinds = ["text"] * min(text, len(columns)) + ["number"] * numbers + ["note"] * notes
    head = join(
        fill('<th scope="col" class="{}">{}</th>', kind, column)
        for kind, column in zip(kinds, columns, strict=True)
    )
    body = join(
        (fill("<tr>{}</tr>", join(map(_cell, range(len(kinds)), row, kinds))) for row in rows),
        "\n",
    )
    return fill(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table class="{}">'
        "<thead><tr>{}</tr></thead><tbody>\n{}</tbody></table></div>",
        label, "small" if len(columns) <= _SMALL else "", head, body,
    )  # fmt: skip


def _cell(place: int, value: object, kind: str) -> Html:
    shown = "-" if value is None else value
    if place == 0:
        return fill('<th scope="row">{}</th>', shown)
    return fill('<td class="{}">{}</td>', kind, shown)


def facts(pairs: Iterable[tuple[str, object]], kind: str = "") -> Html:
    """Names and values under each other; kind "two": in two columns where there is room."""
    lines = join(fill("<div><dt>{}</dt><dd>{}</dd></div>", name, value) for name, value in pairs)
    return fill('<dl class="facts {}">{}</dl>', kind, lines)


def bar(share: float, words: object, kind: str = "") -> Html:
    """A number with a bar behind it; share is 0 to 1 of the cell."""
    width = f"{100 * min(1.0, max(0.0, share)):.1f}"
    return fill(
        '<span class="bar {}"><span class="fill" style="width:{}%"></span><b>{}</b></span>',
        kind, width, words,
    )  # fmt: skip


def details(summary: object, content: Html, *, is_open: bool = False) -> Html:
    """Content that opens at a click."""
    state = Html(" open") if is_open else ""
    return fill("<details{}><summary>{}</summary>{}</details>", state, summary, content)


def shortened(text: str, most: int) -> str:
    """The first characters of a long text."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def plain(value: Any) -> str:
    """A parameter in words: numbers as they are, structures as JSON."""
    return (
        value
        if isinstance(value, str)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
