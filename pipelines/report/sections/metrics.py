"""How good the model is: overall against others and thresholds, and by slices."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.entity_evaluator.config import LOWER_IS_BETTER
from pipelines.report.data.slices import Slice, Slices, read_slices
from pipelines.report.figures import Figure, charts, label
from pipelines.report.markup import Html, absent, badge, details, fill, join, notice, table
from pipelines.report.source import Source
from pipelines.report.words import change, count, metric, metric_name

_NAMES = {
    "composed": "new version",
    "candidate": "candidate",
    "pushed": "current model",
    "fallback": "all-rows model alone",
    "majority": "best constant",
}
_MOST_SLICES = 400
_DRAWN = 60
"""Slices of one slicing in a chart, the largest ones."""


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
            _overall(section["overall"], source.thresholds),
            _slices(source),
        ]
    )


def _overall(models: Mapping[str, Mapping[str, Any]], thresholds: Mapping[str, Any]) -> Html:
    ours = models.get("composed") or models.get("candidate") or {}
    if not ours:
        return absent("No row could be evaluated.")
    others = [name for name in models if models[name] and models[name] is not ours]
    first = next(name for name in models if models[name] is ours)
    rows = []
    for name, value in ours.items():
        bounds = thresholds.get(name, {})
        values = [metric(models[other].get(name)) for other in others]
        rows.append(
            (metric_name(name), fill("<b>{}</b>", metric(value)), *values,
             _threshold(bounds), _verdict(name, value, bounds, models.get("pushed", {}).get(name)))
        )  # fmt: skip
    heads = [_NAMES.get(name, name) for name in (first, *others)]
    return table(["metric", *heads, "threshold", "verdict"], rows, label="Overall metrics")


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
    sign = -1 if name in LOWER_IS_BETTER else 1
    passed = bounds.get("min", value) <= value <= bounds.get("max", value)
    if "max_drop" in bounds and pushed is not None:
        passed = passed and sign * (pushed - value) <= bounds["max_drop"]
    kind, word = ("good", "passes") if passed else ("bad", "fails")
    return fill('<span class="word {}">{}</span>', kind, word)


def _slices(source: Source) -> Html:
    head = Html("<h3>By slices</h3>")
    node = source.evaluator
    file = source.file(node.name, "evaluation", "slices.parquet") if node else None
    if file is None:
        asked = source.summary.evaluation.get("slices")
        where = f"tfma.load_eval_result({source.summary.paths.get('evaluation', '')!r})"
        why = f"they are in TFMA's format: {where}" if asked else "none were asked for"
        return join([head, absent(f"No slices here: {why}.")])
    found = read_slices(file)
    if not found.slicings():
        return join([head, absent("None were asked for: .evaluate(..., slices=[...]).")])
    return join([head, charts(_figures(found)), *_tables(found)])


def _figures(found: Slices) -> Iterator[Figure]:
    """The first metric of every slice, for each slicing: numbers to the right, words downwards."""
    name = found.metrics[0]
    for number, columns in enumerate(found.slicings()):
        known = [s for s in found.slices if s.columns == columns and s.values[name] is not None]
        largest = sorted(known, key=lambda s: -s.rows)[:_DRAWN]
        if not largest:
            continue
        along = all(_only(s).lstrip("-").isdigit() for s in largest)
        shown = sorted(largest, key=lambda s: int(_only(s)) if along else (s.values[name] or 0))
        traces = [_dots(shown, name, "candidate", "s0", along=along)]
        for model in found.models:
            traces.append(
                _dots(shown, f"{model}_{name}", _NAMES.get(model, model), "s1", along=along)
            )
        words, measured = " x ".join(columns), metric_name(name)
        title = f"{measured[0].upper()}{measured[1:]} by {words}"
        few = f", the largest {_DRAWN}" if len(known) > _DRAWN else ""
        overall = found.overall.values[name] if found.overall else None
        axis = f"{measured} (dotted: overall)"
        yield Figure(
            f"slices-{number}", f"{title}{few}", traces,
            x=words if along else axis, y=axis if along else "",
            layout=_layout(overall, along=along),
            height=320 if along else max(240, 90 + 24 * len(shown)), wide=True,
        )  # fmt: skip


def _layout(overall: float | None, *, along: bool) -> dict[str, Any]:
    layout: dict[str, Any] = {} if along else {"yaxis": {"type": "category"}}
    if overall is not None:
        to_the_right = {"xref": "paper", "x0": 0, "x1": 1, "y0": overall, "y1": overall}
        upwards = {"yref": "paper", "y0": 0, "y1": 1, "x0": overall, "x1": overall}
        line = {"color": "quiet", "dash": "dot", "width": 1.5}
        layout["shapes"] = [{"type": "line", "line": line, **(to_the_right if along else upwards)}]
    return layout


def _only(one: Slice) -> str:
    return one.name.partition("=")[2] if len(one.columns) == 1 else one.name


def _dots(shown: list[Slice], name: str, words: str, color: str, *, along: bool) -> dict[str, Any]:
    most = max((s.rows for s in shown), default=1) or 1
    places: list[Any] = [int(_only(s)) if along else label(_only(s), 28) for s in shown]
    values = [_rounded(s.values.get(name)) for s in shown]
    size = [7 + 13 * (s.rows / most) ** 0.5 for s in shown]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": label(words),
        "x": places if along else values,
        "y": values if along else places,
        "marker": {"color": color, "size": size},
        "text": [f"{label(s.name)}<br>{count(s.rows)} rows" for s in shown],
        "hovertemplate": f"%{{text}}<br>%{{{'y' if along else 'x'}:.4f}}<extra></extra>",
    }
    ends = [s.intervals.get(name) for s in shown]
    known = [(e, v) for e, v in zip(ends, values, strict=True) if e and v is not None]
    if known and len(known) == len(shown):
        trace["error_y" if along else "error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [_rounded(high - v) for (_, high), v in known],
            "arrayminus": [_rounded(v - low) for (low, _), v in known],
            "thickness": 1,
        }
    return trace


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _tables(found: Slices) -> Iterator[Html]:
    """Every slicing, the worst slice first."""
    for columns in found.slicings():
        rows = [s for s in found.slices if s.columns == columns]
        first = found.metrics[0]
        sign = -1 if first in LOWER_IS_BETTER else 1
        rows.sort(key=lambda s: _badness(s, first, sign))
        shown = [_row(s, found) for s in rows[:_MOST_SLICES]]
        heads = []
        for name in found.metrics:
            heads += [metric_name(name), *(f"change to {_NAMES.get(m, m)}" for m in found.models)]
        made = table([" x ".join(columns), "rows", *heads], shown, label=f"Slices by {columns}")
        more = f" (the worst {_MOST_SLICES})" if len(rows) > _MOST_SLICES else ""
        words = f"{count(len(rows))} slices by {' x '.join(columns)}{more}, worst first"
        yield details(words, made)


def _badness(one: Slice, name: str, sign: int) -> tuple[bool, float]:
    value = one.values[name]
    return (True, 0.0) if value is None else (False, sign * value)


def _row(one: Slice, found: Slices) -> list[object]:
    cells: list[object] = [_only(one), count(one.rows)]
    for name in found.metrics:
        value = one.values[name]
        ends = one.intervals.get(name)
        cells.append(metric(value) + (f" ({metric(ends[0])} to {metric(ends[1])})" if ends else ""))
        for model in found.models:
            other = one.values.get(f"{model}_{name}")
            cells.append(_change(name, value, other))
    return cells


def _change(name: str, value: float | None, other: float | None) -> Html:
    if value is None or other is None:
        return Html("-")
    difference = value - other
    sign = -1 if name in LOWER_IS_BETTER else 1
    kind = "" if abs(difference) < 1e-9 else "good" if sign * difference > 0 else "bad"
    return fill('<span class="word {}">{}</span>', kind, change(difference))
