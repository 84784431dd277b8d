"""How good the model is: overall against others and thresholds, and by slices."""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.report.markup import Html, absent, badge, fill, join, notice, table
from pipelines.report.sections import candidates, slices
from pipelines.report.source import Source
from pipelines.report.words import count, goodness, metric, metric_name

NAMES = {
    "composed": "new version",
    "candidate": "candidate",
    "pushed": "current model",
    "blessed": "latest blessed model",
    "fallback": "all-rows model alone",
    "majority": "best constant",
}


def render(source: Source) -> Html:
    """Verdict, overall metrics, slices."""
    section = source.summary.evaluation
    if not section:
        why = "see Captions" if source.summary.captions else "this run evaluated no model"
        return absent(f"No metrics: {why}.")
    blessed = section["blessed"]
    kind, word = ("good", "blessed") if blessed else ("bad", "not blessed")
    rows = f"{count(section.get('rows_evaluated', 0))} held-out rows"
    failed = f"{count(section.get('rows_failed', 0))} predictions failed"
    return join(
        [
            fill(
                "<p>{} on {}; {}. {}</p>", badge(word, kind), rows, failed, section["reason"] or ""
            ),
            notice(section["notes"]) if section.get("notes") else "",
            _compared_with(source),
            _overall(section["overall"], source.thresholds, intervals(source)),
            candidates.render(source),
            slices.render(source),
        ]
    )


def _compared_with(source: Source) -> Html:
    other = source.evaluation.get("compared_with")
    return fill("<p>Compared with {}.</p>", other) if other else Html("")


def intervals(source: Source) -> Mapping[str, Any]:
    """Metric -> low and high of the new version, where the evaluation has measured them."""
    given = source.evaluation.get("intervals")
    found = json.loads(given) if isinstance(given, str) and given else {}
    return {name: ends for name, ends in found.items() if ends and ends[0] is not None}


def _overall(
    models: Mapping[str, Mapping[str, Any]],
    thresholds: Mapping[str, Any],
    ends: Mapping[str, Any],
) -> Html:
    ours = models.get("composed") or models.get("candidate") or {}
    if not ours:
        return absent("No row could be evaluated.")
    others = [name for name in models if models[name] and models[name] is not ours]
    first = next(name for name in models if models[name] is ours)
    current = models.get("pushed") or models.get("blessed") or {}
    rows = []
    for name, value in ours.items():
        bounds = thresholds.get(name, {})
        values = [metric(models[other].get(name)) for other in others]
        rows.append(
            (metric_name(name), fill("<b>{}</b>", metric(value)), *_between(name, ends), *values,
             _threshold(bounds), _verdict(name, value, bounds, current.get(name)))
        )  # fmt: skip
    heads = [NAMES.get(first, first), *(["interval"] if ends else [])]
    heads += [NAMES.get(name, name) for name in others]
    return table(["metric", *heads, "threshold", "verdict"], rows, label="Overall metrics")


def _between(name: str, ends: Mapping[str, Any]) -> list[str]:
    """A cell, if there are intervals at all."""
    if not ends:
        return []
    return [f"{metric(ends[name][0])} to {metric(ends[name][1])}" if name in ends else "-"]


def _threshold(bounds: Mapping[str, float]) -> str:
    words = {"min": "at least {}", "max": "at most {}", "max_drop": "drop at most {}"}
    known = [words[name].format(f"{bounds[name]:g}") for name in words if name in bounds]
    return ", ".join(known) or "none"


def _verdict(
    name: str, value: float | None, bounds: Mapping[str, float], pushed: float | None
) -> Html:
    """Of one metric against its thresholds, as the gate compares them."""
    if not bounds:
        return Html("-")
    if value is None:
        return fill('<span class="word bad">{}</span>', "undefined")
    passed = bounds.get("min", value) <= value <= bounds.get("max", value)
    if "max_drop" in bounds and pushed is not None:
        passed = passed and goodness(name, pushed) - goodness(name, value) <= bounds["max_drop"]
    kind, word = ("good", "passes") if passed else ("bad", "fails")
    return fill('<span class="word {}">{}</span>', kind, word)
