"""Puts the sections and what they need into one page: style, script and Plotly are within it."""

import base64
import gzip
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from string import Template

from pipelines.report.markup import Absent, Html, fill, join, notice
from pipelines.report.sections import (
    captions,
    cost,
    data,
    delivery,
    entities,
    environment,
    fairness,
    features,
    graph,
    headline,
    lineage,
    metrics,
    model_card,
    serving,
    training,
)
from pipelines.report.source import Source

_FILES = Path(__file__).parent / "page"
_SCRIPTS = ("page.js", "charts.js", "features.js", "table.js")
SECTIONS: tuple[tuple[str, str, Callable[[Source], Html]], ...] = (
    ("graph", "Pipeline", graph.render),
    ("data", "Data", data.render),
    ("features", "Features", features.render),
    ("training", "Training", training.render),
    ("metrics", "Metrics", metrics.render),
    ("entities", "Entities", entities.render),
    ("fairness", "Fairness", fairness.render),
    ("captions", "Captions", captions.render),
    ("serving", "Serving", serving.render),
    ("delivery", "Delivery", delivery.render),
    ("cost", "Cost", cost.render),
    ("lineage", "Lineage", lineage.render),
    ("environment", "Environment", environment.render),
    ("card", "Model card", model_card.render),
)
"""Anchor, title and what draws it."""


@dataclass(frozen=True)
class Page:
    """A report."""

    html: str
    problems: tuple[str, ...]
    """Sections that could not be made, and why; the page says so too."""


def make_page(source: Source) -> Page:
    """Draws every section; one that cannot be drawn says so and harms no other."""
    problems: list[str] = []
    head = _drawn("Headline", headline.render, source, problems)
    sections = join((_section(*one, source, problems) for one in SECTIONS), "\n")
    links = join(fill('<li><a href="#{}">{}</a></li>', a, title) for a, title, _ in SECTIONS)
    plotly = plotly_code()
    text = Template(_asset("page.html")).substitute(
        policy=_policy(plotly),
        style=_asset("page.css"),
        title=fill("{} {}", source.summary.pipeline, source.run.run_id),
        headline=head,
        links=links,
        sections=sections,
        made=fill("{}", _made()),
        plotly=base64.b64encode(gzip.compress(plotly.encode(), 6, mtime=0)).decode(),
        script=_asset(*_SCRIPTS),
    )
    return Page(text, tuple(problems))


def _section(
    anchor: str,
    title: str,
    render: Callable[[Source], Html],
    source: Source,
    problems: list[str],
) -> Html:
    content = _drawn(title, render, source, problems)
    kind = "section compact" if isinstance(content, Absent) else "section"
    return fill('<section id="{}" class="{}" tabindex="-1"><h2>{}</h2>{}</section>',
                anchor, kind, title, content)  # fmt: skip


def _drawn(
    title: str, render: Callable[[Source], Html], source: Source, problems: list[str]
) -> Html:
    try:
        return render(source)
    except Exception as error:  # a damaged or deleted artifact; the others are worth showing
        problem = f"{title} could not be drawn: {type(error).__name__}: {error}"
        problems.append(problem)
        return notice(problem, "bad")


def _made() -> str:
    try:
        version = f"beamfleet {metadata.version('beamfleet')}"
    except metadata.PackageNotFoundError:
        version = "beamfleet"
    return f"Made {time.strftime('%Y-%m-%d %H:%M')} by {version}"


@cache
def plotly_code() -> str:
    """The library as its package brings it, 4.8 MB; compressed it is a third of that."""
    import importlib.util

    found = importlib.util.find_spec("plotly")  # the package itself is slow to import
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0], "package_data", "plotly.min.js").read_text(encoding="utf-8")


def _policy(plotly: str) -> str:
    """Allows our own scripts by their hashes, styles and pictures within the page, no network."""
    allowed = {
        "default-src": "'none'",
        "img-src": "data: blob:",
        "style-src": "'unsafe-inline'",  # Plotly and the bars of tables set styles
        "script-src": " ".join(_hash(code) for code in (_asset(*_SCRIPTS), plotly)),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {source}" for name, source in allowed.items())


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _asset(*names: str) -> str:
    return "".join((_FILES / name).read_text(encoding="utf-8") for name in names)
