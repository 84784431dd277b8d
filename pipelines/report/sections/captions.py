"""Captions of images: how good they are, and where to look at them."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from components.words import counted
from pipelines.caption_view import METRIC_NAMES
from pipelines.report.data.slices import read_slices
from pipelines.report.markup import Html, absent, badge, details, fill, join, notice, table
from pipelines.report.source import Source
from pipelines.report.words import count, metric

_MOST_SLICES = 200


def render(source: Source) -> Html:
    """Link to the contact sheet, metrics with intervals and thresholds, slices."""
    summary = source.summary
    if not summary.captions and "contact sheet" not in summary.paths:
        return absent("This run captioned no images.")
    parts = [_link(source), notice(summary.note) if summary.note else ""]
    if summary.captions:
        parts += [_verdict(summary.captions), _metrics(summary.captions), _slices(source)]
    return join(parts)


def _link(source: Source) -> Html:
    sheet = source.summary.paths.get("contact sheet")
    if not sheet:
        return absent("There is no contact sheet: add .report_captions().")
    return fill(
        '<p><a href="{}">Contact sheet of all images and captions</a> <small>{}</small></p>',
        quote(os.path.relpath(sheet, source.folder)), sheet,
    )  # fmt: skip


def _verdict(section: Mapping[str, Any]) -> Html:
    kind, word = ("good", "blessed") if section["blessed"] else ("bad", "not blessed")
    rows = f"{count(section.get('rows_evaluated', 0))} images with a reference"
    return join(
        [
            fill("<p>{} on {}. {}</p>", badge(word, kind), rows, section["reason"] or ""),
            notice(section["notes"]) if section.get("notes") else "",
        ]
    )


def _metrics(section: Mapping[str, Any]) -> Html:
    models: Mapping[str, Any] = section["overall"]
    ours = models.get("candidate") or {}
    others = [name for name in models if name != "candidate" and models[name]]
    rows = []
    for name, value in ours.items():
        low, high = section["intervals"].get(name) or (None, None)
        between = "-" if low is None else f"{metric(low)} to {metric(high)}"
        bounds = section["thresholds"].get(name) or {}
        words = ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in bounds.items()) or "none"
        values = [metric(models[other].get(name)) for other in others]
        rows.append((METRIC_NAMES.get(name, name), metric(value), between, *values, words))
    heads = ["metric", "candidate", "interval", *others, "threshold"]
    return table(heads, rows, label="Metrics of the captions")


def _slices(source: Source) -> Html:
    file = source.file("CaptionEvaluator", "evaluation", "slices.parquet")
    if file is None:
        return Html("")
    found = read_slices(file)
    first = "exact_match" if "exact_match" in found.metrics else found.metrics[0]
    known = [s for s in found.slices if s.columns and s.values[first] is not None]
    known.sort(key=lambda s: (s.values[first] or 0, -s.rows))
    rows = [
        (s.name, count(s.rows), *(metric(s.values[name]) for name in found.metrics))
        for s in known[:_MOST_SLICES]
    ]
    if not rows:
        return Html("")
    heads = ["slice", "images", *(METRIC_NAMES.get(name, name) for name in found.metrics)]
    made = table(heads, rows, label="Slices of the captions")
    return details(f"{counted(len(known), 'slice')}, worst first", made, is_open=len(rows) <= 12)
