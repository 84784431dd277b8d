"""Charts for Plotly: data as JSON in the page, colours and fonts by the page's script.

Colours are names such as `good` that the script looks up for the light and the dark page.
"""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.printable import printable
from pipelines.report.markup import Html, fill, shortened

_LABEL = 40
"""Characters of a name on an axis."""


@dataclass(frozen=True)
class Figure:
    """One chart."""

    name: str
    """Identifies it within the page."""
    title: str
    traces: Sequence[Mapping[str, Any]]
    """As Plotly takes them; texts of data went through `label`."""
    x: str
    """What the horizontal axis shows, with the unit."""
    y: str
    layout: Mapping[str, Any] = field(default_factory=dict, hash=False)
    height: int = 300
    """Pixels."""
    wide: bool = False
    """Takes the place of two, where there is room."""

    def html(self) -> Html:
        """A place for the chart, and its data."""
        layout = {
            "xaxis": {"title": {"text": label(self.x)}},
            "yaxis": {"title": {"text": label(self.y)}},
        }
        for name, value in self.layout.items():
            layout[name] = {**layout.get(name, {}), **value} if isinstance(value, dict) else value
        content = {"data": list(self.traces), "layout": layout}
        return fill(
            '<figure class="chart {}"><figcaption>{}</figcaption>'
            '<div class="plot" id="plot-{}" data-figure="{}" style="height:{}px" role="img" '
            'aria-label="{}"></div>{}</figure>',
            "wide" if self.wide else "", self.title, self.name, f"figure-{self.name}", self.height,
            f"Chart: {self.title}", data(f"figure-{self.name}", content),
        )  # fmt: skip


def charts(figures: Iterable[Figure]) -> Html:
    """Charts beside each other where there is room."""
    return fill('<div class="charts">{}</div>', Html("".join(f.html() for f in figures)))


def data(name: str, content: Any) -> Html:
    """JSON for the script; none of its characters can end the element or begin another one."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    safe = text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
    return Html(fill('<script type="application/json" id="{}">', name) + safe + "</script>")


def label(text: object, most: int = _LABEL) -> str:
    """Text of data in a chart: Plotly takes some markup, and must not find any."""
    return html.escape(shortened(printable(str(text)), most), quote=False)
