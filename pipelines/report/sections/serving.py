"""Does the model serve: start, latency, memory, answers to bad requests; against the gates."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.report.markup import Html, absent, badge, bar, details, fill, join, table
from pipelines.report.source import Source
from pipelines.report.words import count


def render(source: Source) -> Html:
    """Figures against gates, requests, malformed requests."""
    section = source.summary.infra
    if not section:
        return absent("This run did not try to serve its model: add .infra_validate().")
    report = source.json("InfraValidator", "blessing", "report.json") or {}
    kind, word = ("good", "passed") if section["blessed"] else ("bad", "failed")
    head = fill(
        "<p>{} {}</p>", badge(word, kind), section.get("reason") or "A real server answered."
    )
    rows = _figures(section, report.get("gates") or {})
    figures = table(["figure", "measured", "gate", "verdict"], rows, label="Figures of serving")
    return join([head, figures, *_requests(report)])


def _figures(section: Mapping[str, Any], gates: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    rows = (
        ("startup_s", "load to ready", "s", "max_startup_s"),
        ("p50_ms", "latency p50", "ms", ""),
        ("p99_ms", "latency p99", "ms", "max_p99_ms"),
        ("rss_mb", "memory of the server", "MB", "max_rss_mb"),
        ("import_s", "imports of the server", "s", ""),
    )
    for name, words, unit, gate in rows:
        if (value := section.get(name)) is None:
            continue
        limit = gates.get(gate)
        shown = f"{value:,.4g} {unit}"
        if limit is None:
            yield words, shown, "none", "-"
            continue
        kind, word = ("good", "within") if value <= limit else ("bad", "over")
        verdict = fill('<span class="word {}">{}</span>', kind, word)
        yield (
            words,
            bar(value / limit if limit else 1, shown, kind),
            f"{limit:,.4g} {unit}",
            verdict,
        )


def _requests(report: Mapping[str, Any]) -> Iterator[Html]:
    requests: Mapping[str, Any] = report.get("requests") or {}
    counts = [(name.replace("_", " "), count(requests[name])) for name in requests
              if isinstance(requests[name], int)]  # fmt: skip
    if counts:
        yield fill("<h3>Requests</h3>{}", table(["requests", "count"], counts, label="Requests"))
    malformed: Mapping[str, Any] = report.get("malformed") or {}
    rows = [(name, str(status)) for name, status in malformed.items()]
    if rows:
        made = table(
            ["malformed request", "HTTP status of the answer"], rows, label="Malformed requests"
        )
        yield details(f"{len(rows)} malformed requests, each answered with an error", made)
