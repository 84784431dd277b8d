"""What became of the run, in one sentence and a few figures."""

from collections.abc import Iterator

from pipelines.entities import serves_own
from pipelines.render import clock
from pipelines.report.markup import Html, badge, fill, join
from pipelines.report.source import Source
from pipelines.report.words import count, duration, metric, metric_name

STATES = {
    "done": "good",
    "cached": "good",
    "failed": "bad",
    "stopped": "warn",
    "running": "warn",
}
_MODELS = {
    "pushed": "current model",
    "blessed": "latest blessed model",
    "fallback": "fallback",
    "majority": "best constant",
}


def render(source: Source) -> Html:
    """The head of the page."""
    summary, run = source.summary, source.run
    return fill(
        '<p class="eyebrow">Run report</p><h1>{}</h1>'
        '<p class="sub"><span>{}</span> <span>started {}</span> <span>took {}</span></p>'
        '<p class="badges">{}</p><p class="verdict">{}</p><div class="tiles">{}</div>',
        summary.pipeline or "Pipeline without a name", run.run_id, clock(run.started),
        duration(run.seconds), join(badges(source), " "), sentence(source),
        join(fill('<div class="tile"><span>{}</span><b>{}</b><small>{}</small></div>', *tile)
             for tile in _tiles(source)),
    )  # fmt: skip


def badges(source: Source) -> Iterator[Html]:
    """State, blessing and push, each a word in a colour."""
    summary = source.summary
    yield badge(summary.state, STATES.get(summary.state, "quiet"))
    for section in (summary.evaluation, summary.captions):
        if section:
            yield _yes_or_no(section["blessed"], "blessed", "not blessed")
    if summary.infra:
        yield _yes_or_no(summary.infra["blessed"], "serving passed", "serving failed")
    if summary.push:
        pushed = summary.push["pushed"]
        yield badge(f"version {summary.push['version']} pushed" if pushed else "not pushed",
                    "good" if pushed else "warn")  # fmt: skip
    if found := summary.validation.get("anomalies"):
        yield badge(anomalies(found), "warn")


def anomalies(number: int) -> str:
    """`1 anomaly`, `4 anomalies`."""
    return f"{number:,} anomal{'y' if number == 1 else 'ies'}"


def _yes_or_no(passed: bool, yes: str, no: str) -> Html:
    return badge(yes if passed else no, "good" if passed else "bad")


def sentence(source: Source) -> str:
    """The end of the run in words."""
    summary = source.summary
    failed = next((node for node in source.run.nodes if node.error), None)
    if failed:
        first, *more = failed.error.split("\n")
        rest = " (Pipeline below has all of it)" if more else ""
        return f"{failed.name} {failed.state}: {first.removesuffix(':')}{rest}"
    if summary.state != "done":
        return f"The run is {summary.state}."
    judged = summary.evaluation or summary.captions
    if judged and not judged["blessed"]:
        return f"The model was not blessed: {judged['reason'] or 'see the evaluation'}"
    if summary.infra and not summary.infra["blessed"]:
        return f"The model did not pass serving: {summary.infra.get('reason') or 'see Serving'}"
    if summary.push.get("pushed"):
        version = summary.push["version"]
        if "Pusher" in summary.cached:
            return f"Nothing has changed: version {version} was pushed by an earlier run."
        return f"The model was blessed and pushed as version {version}."
    if summary.push.get("approval") == "waits":
        return "The model was blessed and waits for the approval of a person before it is pushed."
    if summary.push:
        return f"Nothing new was pushed: {summary.push['reason']}"
    return "The model was blessed; this pipeline pushes nothing." if judged else "The run is done."


def _tiles(source: Source) -> Iterator[tuple[str, str, str]]:
    """Name, figure and a few words beside it."""
    summary = source.summary
    if summary.examples:
        rejected = summary.examples.get("rows_rejected", 0)
        yield "rows read", count(summary.examples.get("rows_in", 0)), f"{count(rejected)} rejected"
    if summary.entities:
        own = sum(map(serves_own, summary.entities))
        yield "entities", count(len(summary.entities)), f"{count(own)} served by own models"
    yield from _metrics(source)
    if "p99_ms" in summary.infra:
        p50 = summary.infra.get("p50_ms")
        words = f"p50 {p50:.1f} ms" if p50 is not None else ""
        yield "latency p99", f"{summary.infra['p99_ms']:.1f} ms", words
    if summary.inference.get("rows") is not None:
        failed = summary.inference.get("rows_failed", 0)
        yield "rows predicted", count(summary.inference["rows"]), f"{count(failed)} failed"


def _metrics(source: Source) -> Iterator[tuple[str, str, str]]:
    judged = source.summary.evaluation or source.summary.captions
    models = judged.get("overall", {}) if judged else {}
    ours = models.get("composed") or models.get("candidate") or {}
    other = next((name for name in _MODELS if models.get(name)), None)
    for name, value in list(ours.items())[:2]:
        against = ""
        if other and models[other].get(name) is not None:
            against = f"{_MODELS[other]} {metric(models[other][name])}"
        yield metric_name(name), metric(value), against
