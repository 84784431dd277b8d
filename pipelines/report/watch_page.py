"""The page of `beamfleet features watch`: how right every entity's model is, and its drift."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.render import figure, number
from pipelines.report.figures import Figure, charts, label
from pipelines.report.markup import (
    Html,
    absent,
    badge,
    bar,
    facts,
    fill,
    join,
    notice,
    table,
)
from pipelines.report.page import assembled, section

if TYPE_CHECKING:
    from components.feature_monitor.look import Look
    from components.feature_monitor.watch import EntityVerdict

_KINDS = {"worse": "bad", "drifted": "warn", "fine": "good"}
_DRAWN = 8
"""Entities with a chart of their own; the worst come first."""


def watch_page(service: str, found: "Look", lines: Sequence[Mapping[str, Any]]) -> str:
    """One HTML file.

    Args:
      service: Name of the feature service.
      found: The look.
      lines: What was decided, see `look.act`.
    """
    actions = {line["entity"]: line for line in lines if line["kind"] == "entity"}
    parts = (
        ("entities", "Entities", _entities(found.verdicts)),
        ("decisions", "Decisions", _decisions(found.verdicts, actions)),
        ("time", "Accuracy over time", _over_time(found)),
        ("drift", "Drift", _drift(found.verdicts)),
        ("labels", "Labels and rows", _counts(found)),
    )
    drawn = [(anchor, title, section(anchor, title, content)) for anchor, title, content in parts]
    return assembled(f"{service} watched", _head(service, found, actions), drawn)


def _head(service: str, found: "Look", actions: Mapping[str, Mapping[str, Any]]) -> Html:
    bad = found.bad
    words = f"{len(bad)} of {len(found.verdicts)} alarm" if bad else "no alarm"
    lines = [
        fill("<h1>{} {}</h1>", service, badge(words, "bad" if bad else "good")),
        fill(
            "<p>Version {} after the push, at {} UTC.</p>",
            found.pushed.version,
            f"{found.at:%Y-%m-%d %H:%M}",
        ),
    ]
    if not found.is_new:
        lines.append(notice("No new data since the last look.", "info"))
    for one in bad:
        lines.append(notice(f"{one.entity}: {one.why}. {actions[one.entity]['action']}", "bad"))
    lines += [notice(f"Not looked at: {text}") for text in found.not_looked_at]
    return join(lines, "\n")


def _entities(found: Sequence["EntityVerdict"]) -> Html:
    if not found:
        return absent("This version has served nothing yet.")
    columns = ("entity", "verdict", "rows", "labelled", "accuracy", "interval", "evaluated",
               "AUC", "interval", "evaluated")  # fmt: skip
    rows = []
    for one in found:
        metrics = {judged.metric: judged for judged in one.metrics}
        cells: list[object] = [one.entity, badge(one.verdict, _KINDS.get(one.verdict, "quiet"))]
        cells += [number(one.rows), number(one.labelled)]
        for name in ("accuracy", "auc"):
            judged = metrics.get(name)
            if judged is None:
                cells += [None, None, None]
                continue
            cells += [figure(judged.live.value), f"{judged.live.low:.3f} to {judged.live.high:.3f}"]
            cells.append(figure(judged.baseline.value) if judged.baseline else None)
        rows.append(cells)
    return table(columns, rows, label="Entities", text=2)


def _decisions(found: Sequence["EntityVerdict"], actions: Mapping[str, Mapping[str, Any]]) -> Html:
    if not found:
        return absent("There was nothing to decide about.")
    rows = [[one.entity, actions[one.entity]["action"], one.why] for one in found]
    return table(("entity", "decision", "why"), rows, label="Decisions", text=2, notes=1)


def _over_time(found: "Look") -> Html:
    judged = [one for one in found.over_time if "accuracy" in one]
    if not judged:
        return absent("No labels have come yet for what this version served.")
    wanted = [one.entity for one in found.verdicts][:_DRAWN]
    drawn = [
        _chart(place, entity, [one for one in judged if one["entity"] == entity], found)
        for place, entity in enumerate(wanted)
    ]
    said = fill(
        "<p>Share of right predictions by the time of the prediction, with 95% intervals; the line "
        "is the evaluation of the pushed version.{}</p>",
        "" if len(found.verdicts) <= _DRAWN else f" The first {_DRAWN} entities, worst first.",
    )
    return join([said, charts(one for one in drawn if one)], "\n")


def _chart(place: int, entity: str, windows: Sequence[Mapping[str, Any]], found: "Look") -> Figure:
    verdict = next(one.verdict for one in found.verdicts if one.entity == entity)
    times = [one["window"].strftime("%Y-%m-%d %H:%M") for one in windows]
    values = [one["accuracy"] for one in windows]
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines+markers", "name": "live", "x": times,
         "y": [one["value"] for one in values],
         "text": [f"{number(one['rows'])} rows" for one in values],
         "error_y": {"type": "data", "symmetric": False, "width": 3,
                     "array": [one["high"] - one["value"] for one in values],
                     "arrayminus": [one["value"] - one["low"] for one in values]},
         "marker": {"color": _KINDS.get(verdict, "quiet")},
         "line": {"color": _KINDS.get(verdict, "quiet")},
         "hovertemplate": "%{x}<br>%{y:.3f}<br>%{text}<extra></extra>"}
    ]  # fmt: skip
    evaluated = found.pushed.evaluated.get(entity, {}).get("accuracy")
    if evaluated is not None and times:
        traces.append(
            {"type": "scatter", "mode": "lines", "name": "evaluated", "x": [times[0], times[-1]],
             "y": [evaluated, evaluated], "line": {"color": "quiet", "dash": "dash"},
             "hovertemplate": "evaluated %{y:.3f}<extra></extra>"}
        )  # fmt: skip
    title = f"{label(entity)} ({verdict})"
    return Figure(f"accuracy-{place}", title, traces, x="time of prediction", y="accuracy")


def _drift(found: Sequence["EntityVerdict"]) -> Html:
    rows = [
        [one.entity, drift.column, badge("moved", "warn") if drift.drifted else "",
         bar(drift.distance, f"{drift.distance:.3f}", "warn" if drift.drifted else ""),
         drift.measure, f"{drift.p_value:.2g}", number(drift.rows), number(drift.reference_rows)]
        for one in found
        for drift in one.drift
    ]  # fmt: skip
    if not rows:
        return absent("There are no training rows to compare with, or too few were served.")
    columns = ("entity", "column", "", "distance", "measure", "p", "rows", "training rows")
    said = fill(
        "<p>Distance of what was served from training: of numbers the Jensen-Shannon divergence, "
        "of words the largest change of a share. It alarms where it is large and chance is no "
        "explanation (p of a chi-squared test).</p>"
    )
    return join([said, table(columns, rows, label="Drift", text=3)], "\n")


def _counts(found: "Look") -> Html:
    pairs: list[tuple[str, object]] = [("rows served", number(found.rows))]
    pairs.append(("since the last look", number(found.new_rows)))
    for name, count in (found.labels or {}).items():
        pairs.append((name.replace("_", " "), number(count)))
    pairs += [(f"not logged: {why}", number(rows)) for why, rows in found.losses.items()]
    pairs += [(f"served by version {v}", number(rows)) for v, rows in found.other_versions.items()]
    return facts(pairs, "two")
