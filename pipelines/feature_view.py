"""What a run did with features, and how it looks."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.words import counted
from pipelines.metadata import Run
from pipelines.render import escaped, number

COMPUTER = "FeatureComputer"
STREAMER = "FeatureStreamer"
PREDICTOR = "OnlinePredictor"
_COUNTS = ("rows_in", "rejected", "filtered", "later", "duplicates", "events", "rows_out")
_SHORT = 12
"""Characters of a fingerprint."""
_STREAMED = (
    "rows", "events", "late", "duplicates", "rejected", "filtered", "changes", "points", "apart",
    "apart_by_late",
)  # fmt: skip
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


def stream_section(run: Run) -> dict[str, Any]:
    """What came by stream, and whether it says what a backfill says."""
    node = run.node(STREAMER)
    stream = node.output("stream") if node else None
    if stream is None:
        return {}
    counts = {name: int(stream.properties.get(name) or 0) for name in _STREAMED}
    return {"until": str(stream.properties.get("until") or ""), **counts}


def online_section(run: Run) -> dict[str, Any]:
    """What a running server answered."""
    node = run.node(PREDICTOR)
    result = node.output("inference_result") if node else None
    if result is None:
        return {}
    names = ("rows_in", "rows", "rows_failed", "p50_ms", "p99_ms", "model_version", "skipped")
    found = {name: result.properties[name] for name in names if name in result.properties}
    return {**found, "path": result.uri}


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


def stream_lines(section: Section) -> Iterator[tuple[str, str]]:
    """The events of the streams, and parity."""
    if not section:
        return
    apart = [
        f"{number(section[name])} {name}"
        for name in ("late", "duplicates", "rejected", "filtered")
        if section[name]
    ]
    used = f"{number(section['events'])} used"
    yield "stream", f"{number(section['rows'])} lines in, {', '.join([*apart, used])}"
    late = f", {number(section['apart_by_late'])} more differ by late events"
    holds = "[green]parity holds[/]" if not section["apart"] else "[bold red]parity is broken[/]"
    yield (
        "",
        f"{holds}: {number(section['points'])} values are those of the backfill"
        + (late if section["apart_by_late"] else ""),
    )


def online_lines(section: Section) -> Iterator[tuple[str, str]]:
    """The requests to the server."""
    if section.get("skipped"):
        yield "online", f"[yellow]skipped[/]: {escaped(section['skipped'])}"
    elif section:
        yield (
            "online",
            f"{number(section.get('rows', 0))} of {number(section.get('rows_in', 0))} rows "
            f"predicted by a server with version {section.get('model_version')}, with vectors from "
            f"the online store, {number(section.get('rows_failed', 0))} failed "
            f"[dim](p50 {section['p50_ms']:.1f} ms, p99 {section['p99_ms']:.1f} ms)[/]",
        )
