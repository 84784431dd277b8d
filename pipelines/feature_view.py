"""What a run did with features, and how it looks."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.words import counted
from pipelines.metadata import Run
from pipelines.render import escaped, number

COMPUTER = "FeatureComputer"
_COUNTS = ("rows_in", "rejected", "filtered", "later", "duplicates", "events", "rows_out")
_SHORT = 12
"""Characters of a fingerprint."""
Section = Mapping[str, Any]


def features_section(run: Run) -> dict[str, Any]:
    """The views that were computed; see `pipelines.summary.Summary`."""
    node = run.node(COMPUTER)
    made = node.output("views") if node else None
    if made is None:
        return {}
    file = Path(made.uri, "views.json")
    views = json.loads(file.read_text(encoding="utf-8"))["views"] if file.is_file() else []
    said = ("service", "definition", "as_of", "store")
    return {
        **{name: str(made.properties.get(name) or "") for name in said},
        **{name: int(made.properties.get(name) or 0) for name in ("version", *_COUNTS)},
        "views": views,
    }


def features_of(properties: Mapping[str, Any]) -> str:
    """Which features Examples have, in words; empty: none of a view."""
    if not properties.get("feature_service"):
        return ""
    return (
        f"{properties['feature_service']} v{int(properties.get('feature_version') or 0)} "
        f"({properties.get('feature_views', '')}) as of {properties.get('as_of', '')}, "
        f"definition {str(properties.get('definition', ''))[:_SHORT]}"
    )


def feature_lines(section: Section) -> Iterator[tuple[str, str]]:
    """The views and their events."""
    if not section:
        return
    names = ", ".join(f"{view['view']} v{view['version']}" for view in section["views"])
    until = f" as of {escaped(section['as_of'])}" if section["as_of"] else ""
    yield (
        "features",
        f"{escaped(section['service'])} v{section['version']}: "
        f"{counted(len(section['views']), 'view')}{until} [dim]({escaped(names)})[/]",
    )
    apart = [
        f"{number(section[name])} {name}"
        for name in ("rejected", "filtered", "later", "duplicates")
        if section[name]
    ]
    yield (
        "events",
        f"{number(section['rows_in'])} in, {', '.join([*apart, number(section['events'])])} used; "
        f"{number(section['rows_out'])} values",
    )
