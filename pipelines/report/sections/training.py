"""How the models were trained: curves, trials, and the entities' own models."""

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.report.data.curves import Curve, read_curves, trainers
from pipelines.report.figures import Figure, charts, label
from pipelines.report.markup import Html, absent, bar, fill, join, notice, plain, table
from pipelines.report.source import Source
from pipelines.report.words import count, metric, metric_name

_COUNTS = (
    ("rows_trained", "rows in own models"),
    ("rows_small", "rows of small entities, in the fallback only"),
    ("rows_dropped", "rows with a missing value, not used"),
    ("rows_without_label", "rows without a label, not used"),
    ("rows_without_entity", "rows without an entity key, not used"),
    ("rows_sampled_out", "rows beyond max_rows, not used"),
    ("rows_failed", "rows of entities whose training failed"),
)
_MOST_TRIALS = 100


def render(source: Source) -> Html:
    """What there is of the three."""
    parts = [_entities(source), _curves(source), _trials(source)]
    shown = [part for part in parts if part]
    return join(shown) if shown else absent("This run trained no model.")


def _entities(source: Source) -> Html:
    section = source.summary.training
    if not section:
        return Html("")
    entities = [
        (words, count(section.get(f"entities_{name}", 0)))
        for name, words in (("trained", "trained"), ("small", "too small for an own model"),
                            ("failed", "failed"))
    ]  # fmt: skip
    total = section.get("rows_in", 0) or 1
    rows = [
        (words, bar(section[name] / total, count(section[name]), "warn" if "fail" in name else ""))
        for name, words in _COUNTS
        if section.get(name)
    ]
    failed = section.get("entities_failed", 0)
    return join(
        [
            Html("<h3>One model for each entity</h3>"),
            table(["entities", "count"], entities, label="Entities"),
            table(["rows", "count"], rows, label="Rows of the training"),
            notice(f"{failed} entities failed to train; the table of entities has the reasons.",
                   "bad") if failed else "",
        ]
    )  # fmt: skip


def _curves(source: Source) -> Html:
    nodes = trainers(source)
    if not nodes:
        return Html("")
    found = read_curves(source)
    head = Html("<h3>Training curves</h3>")
    if not found:
        return join(
            [head, absent("The run_fn wrote none: give model.fit TrainingData.tensorboard().")]
        )
    return join([head, charts(_curves_of(found))])


def _curves_of(found: Sequence[Curve]) -> Iterator[Figure]:
    several = len({curve.node for curve in found}) > 1
    for number, curve in enumerate(found):
        yield _curve(number, curve, of=f" of {curve.node}" if several else "")


def _curve(number: int, curve: Curve, of: str) -> Figure:
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(points) < 60 else "lines",
            "name": label(name),
            "x": [x for x, _ in points],
            "y": [float(f"{y:.5g}") for _, y in points],
        }
        for name, points in curve.lines.items()
    ]
    name = metric_name(curve.metric)
    return Figure(f"curve-{number}", f"{name[0].upper()}{name[1:]}{of}", traces,
                  x=curve.by, y=name)  # fmt: skip


def _trials(source: Source) -> Html:
    trials = source.json("Tuner", "tuner_results", "tuner_results.json")
    if not trials:
        return Html("")
    names = [name for name in trials[0] if name not in ("trial_id", "score")]
    rows = [
        (f"{place}{' (best)' if place == 1 else ''}", metric(trial["score"]),
         *(_value(trial.get(name)) for name in names))
        for place, trial in enumerate(trials[:_MOST_TRIALS], 1)
    ]  # fmt: skip
    more = len(trials) - len(rows)
    return join(
        [
            Html("<h3>Trials of the tuner</h3>"),
            charts(_trial_charts(trials, names)),
            table(["rank", "score", *names], rows, label="Trials"),
            notice(f"{more} more trials are in tuner_results.json.", "info") if more > 0 else "",
        ]
    )


def _trial_charts(trials: Sequence[dict[str, Any]], names: Sequence[str]) -> list[Figure]:
    """The score over each hyperparameter, the best trial marked."""
    found = []
    for number, name in enumerate(names[:6]):
        values: list[Any] = [trial.get(name) for trial in trials]
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        wide = numbers and min(values) > 0 and max(values) / min(values) > 20
        trace = {
            "type": "scatter",
            "mode": "markers",
            "x": values if numbers else [label(v) for v in values],
            "y": [trial["score"] for trial in trials],
            "marker": {"size": 11, "color": ["good"] + ["s0"] * (len(trials) - 1)},
            "text": ["best"] + [f"rank {n}" for n in range(2, len(trials) + 1)],
            "hovertemplate": "%{text}<br>%{x}<br>score %{y:.4g}<extra></extra>",
        }
        kind = {"type": "log"} if wide else {} if numbers else {"type": "category"}
        found.append(Figure(f"trial-{number}", f"Score by {name}", [trace], x=name, y="score",
                            layout={"xaxis": kind, "showlegend": False}, height=240))  # fmt: skip
    return found


def _value(value: Any) -> Html:
    text = metric(float(value)) if isinstance(value, float) else plain(value)
    return fill("{}", text)
