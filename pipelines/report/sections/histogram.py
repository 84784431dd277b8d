"""Small drawings of a column's values, by split; SVG, so that hundreds of them are cheap."""

from collections.abc import Sequence

from pipelines.report.data.statistics import Column
from pipelines.report.markup import Html, fill, join, shortened
from pipelines.report.words import count, percent, value

_WIDTH, _HEIGHT = 260, 96
_LINE = 17
"""Pixels of a bar of words."""
_WORDS = 6


def drawing(name: str, columns: Sequence[tuple[int, Column]]) -> Html:
    """Histograms of numbers over each other, or the most frequent words with a bar each.

    Args:
      name: Of the column.
      columns: Place of the split and its statistics; the first is filled, the others are lines.
    """
    if any(column.histogram for _, column in columns):
        return _histogram(name, columns)
    if any(column.top for _, column in columns):
        return _words(name, columns)
    return Html('<p class="absent">No values to draw.</p>')


def _histogram(name: str, columns: Sequence[tuple[int, Column]]) -> Html:
    known = [(place, column) for place, column in columns if column.histogram]
    low = min(column.histogram[0][0] for _, column in known)
    high = max(column.histogram[-1][1] for _, column in known)
    span = high - low or 1.0
    densities = [(place, _shares(column)) for place, column in known]
    top = max((share for _, shares in densities for _, _, share in shares), default=0) or 1.0
    lines = join(_steps(place, shares, low, span, top) for place, shares in densities)
    return fill(
        '<svg class="histogram" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<line x1="0" x2="{}" y1="{}" y2="{}" class="axis"/>'
        '<text x="0" y="{}">{}</text><text x="{}" y="{}" class="end">{}</text>'
        '<text x="{}" y="9" class="end faint">{}</text></svg>',
        _WIDTH, _HEIGHT + 18, f"Histogram of {name}", lines, _WIDTH, _HEIGHT, _HEIGHT,
        _HEIGHT + 14, value(low), _WIDTH, _HEIGHT + 14, value(high),
        _WIDTH, f"highest bar {percent(top, 0)} of rows",
    )  # fmt: skip


def _shares(column: Column) -> list[tuple[float, float, float]]:
    """Buckets with their share of the rows that have a value."""
    rows = sum(n for _, _, n in column.histogram) or 1.0
    return [(low, high, n / rows) for low, high, n in column.histogram]


def _steps(
    place: int, shares: Sequence[tuple[float, float, float]], low: float, span: float, top: float
) -> Html:
    def x(number: float) -> float:
        return round((number - low) / span * _WIDTH, 1)

    def y(share: float) -> float:
        return round(_HEIGHT - share / top * (_HEIGHT - 14), 1)

    if all(first == last for first, last, _ in shares):  # one value only
        return fill(
            '<rect class="s{}" x="{}" y="14" width="12" height="{}"/>', place, 0, _HEIGHT - 14
        )
    path = f"M{x(shares[0][0])} {_HEIGHT}" + "".join(
        f"V{y(share)}H{x(last)}" for _, last, share in shares
    )
    titles = "; ".join(f"{value(a)} to {value(b)}: {percent(s)}" for a, b, s in shares)
    return fill(
        '<path class="s{}" d="{}V{}"><title>{}</title></path>', place, path, _HEIGHT, titles
    )


def _words(name: str, columns: Sequence[tuple[int, Column]]) -> Html:
    """The words of all splits, the most frequent of the first split first."""
    first = columns[0][1]
    words = list(dict.fromkeys(w for _, column in columns for w, _ in column.top))[:_WORDS]
    top = max((n / (c.rows or 1) for _, c in columns for _, n in c.top), default=0) or 1.0
    scale = (_WIDTH - 150) / top
    lines = [_line(number, word, columns, scale) for number, word in enumerate(words)]
    unseen = int(first.figures.get("unique", 0)) - len(words)
    more = f"and {count(unseen)} more values" if unseen > 0 else ""
    height = len(words) * _LINE + (16 if more else 2)
    return fill(
        '<svg class="histogram" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<text x="104" y="{}" class="faint">{}</text></svg>',
        _WIDTH, height, f"Most frequent values of {name}", join(lines),
        len(words) * _LINE + 12, more,
    )  # fmt: skip


def _line(number: int, word: str, columns: Sequence[tuple[int, Column]], scale: float) -> Html:
    """A word, its bars, and its share in the first split."""
    shares = [dict(column.top).get(word, 0) / (column.rows or 1) for _, column in columns]
    thick = (_LINE - 5) / len(columns)
    bars = [
        fill('<rect class="s{}" x="104" y="{}" width="{}" height="{}"><title>{}</title></rect>',
             columns[row][0], round(number * _LINE + 2 + row * thick, 1), round(share * scale, 1),
             round(thick, 1), f"{word}: {percent(share)}")
        for row, share in enumerate(shares)
    ]  # fmt: skip
    return fill(
        '<text x="98" y="{}" class="end">{}<title>{}</title></text>{}'
        '<text x="{}" y="{}" class="faint">{}</text>',
        number * _LINE + 12, shortened(word or '""', 16), word, join(bars),
        round(108 + max(shares) * scale, 1), number * _LINE + 12, percent(shares[0], 0),
    )  # fmt: skip
