"""A card that goes with the model: filled in from the run, and from nothing else.

Source: Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from collections.abc import Iterator

from components.words import counted
from pipelines.report.data.entities import read_table
from pipelines.report.data.model import Model, read_model
from pipelines.report.data.slices import read_slices
from pipelines.report.markup import Html, absent, facts, fill, join, plain
from pipelines.report.sections.headline import anomalies
from pipelines.report.source import Source
from pipelines.report.words import count, goodness, metric, metric_name

_WORST = 5
_MOST_FEATURES = 60


def render(source: Source) -> Html:
    """What it predicts, on which data, how well, where worst, known limits."""
    model = read_model(source)
    if model is None:
        return absent(
            "The models are an ensemble that was given, not trained: Captions describes it."
            if source.summary.captions
            else "This run has no trained model to describe."
        )
    parts = [
        ("Model", facts(_about(source, model))),
        ("Data", facts(_data(source, model))),
        ("Metrics", _listed(_metrics(source))),
        ("Where it is worst", _listed(_worst(source))),
        ("Known limits", _listed(_limits(source))),
        ("Not filled in", _listed(iter([
            "Intended use, people affected and ethical considerations: nothing in a run tells; "
            "whoever releases the model adds them.",
        ]))),
    ]  # fmt: skip
    return join(
        fill('<section class="card-part"><h3>{}</h3>{}</section>', title, content)
        for title, content in parts
    )


def _listed(lines: Iterator[str]) -> Html:
    found = list(lines)
    if not found:
        return absent("Nothing that the run recorded.")
    return fill("<ul>{}</ul>", join(fill("<li>{}</li>", line) for line in found))


def _about(source: Source, model: Model) -> Iterator[tuple[str, object]]:
    push = source.summary.push
    yield "name", source.summary.pipeline
    yield "version", push["version"] if push.get("pushed") else "not pushed"
    yield "kind", model.kind
    if model.entity_columns:
        yield "entity", " x ".join(model.entity_columns)
    classes = f" ({', '.join(model.classes[:20])})" if model.classes else ""
    yield "predicts", f"{model.label}: {model.task}{classes}"
    names = [name for name, _ in model.features]
    more = f", and {len(names) - _MOST_FEATURES} more" if len(names) > _MOST_FEATURES else ""
    yield "from", f"{counted(len(names), 'column')}: {', '.join(names[:_MOST_FEATURES])}{more}"
    yield "trained by", model.code
    if model.hparams:
        words = ", ".join(f"{name} {plain(value)}" for name, value in model.hparams.items())
        yield "hyperparameters", words


def _data(source: Source, model: Model) -> Iterator[tuple[str, object]]:
    examples, training = source.summary.examples, source.summary.training
    yield "rows read", count(examples.get("rows_in", 0))
    if "rows_train" in examples:
        yield "rows to train on", count(examples["rows_train"])
    if training:
        yield "rows in own models", count(training.get("rows_trained", 0))
    evaluated = source.summary.evaluation.get("rows_evaluated")
    if evaluated is not None:
        yield "rows it was measured on", f"{count(evaluated)}, held out"
    node = source.run.node("ExampleGen")
    if node and node.parameters.get("span") is not None:
        yield "newest span", node.parameters["span"]


def _entities(number: int) -> str:
    """`1 entity`, `12 entities`."""
    return f"{number:,} entit{'y' if number == 1 else 'ies'}"


def _metrics(source: Source) -> Iterator[str]:
    models = source.summary.evaluation.get("overall", {})
    ours = models.get("composed") or models.get("candidate") or {}
    names = {
        "pushed": "current model",
        "blessed": "latest blessed model",
        "fallback": "all-rows model",
        "majority": "best constant",
    }
    for name, value in ours.items():
        others = [
            f"{words} {metric(models[other].get(name))}"
            for other, words in names.items()
            if models.get(other)
        ]
        yield f"{metric_name(name)} {metric(value)}" + (f" ({', '.join(others)})" if others else "")


def _worst(source: Source) -> Iterator[str]:
    """Slices and entities with the worst values, of those with enough rows to be judged."""
    enough = int(source.summary.evaluation.get("min_eval_rows") or 0)
    node = source.evaluator
    file = source.file(node.name, "evaluation", "slices.parquet") if node else None
    if file:
        found = read_slices(file)
        name = found.metrics[0]
        known = [
            (goodness(name, value), s)
            for s in found.slices
            if s.columns and s.rows >= enough and (value := s.values[name]) is not None
        ]
        for _, one in sorted(known, key=lambda pair: pair[0])[:_WORST]:
            rows = f"{metric_name(name)} {metric(one.values[name])} on {count(one.rows)} rows"
            yield f"{one.name}: {rows}"
    table = read_table(source)
    if table:
        names, values, rows_of = (table.column(n) for n in ("name", "served", "rows"))
        judged = [i for i, v in enumerate(values) if v is not None and rows_of[i] >= enough]
        for i in judged[:_WORST]:
            rows = f"{metric_name(table.metric)} {metric(values[i])} on {count(rows_of[i])} rows"
            yield f"{names[i]}: {rows}"


def _limits(source: Source) -> Iterator[str]:
    summary = source.summary
    examples, training, evaluation = summary.examples, summary.training, summary.evaluation
    if rejected := examples.get("rows_rejected"):
        yield f"{counted(rejected, 'row')} of the data could not be read and had no part in it."
    for name, words in (
        ("rows_dropped", "have a missing value and were not trained on"),
        ("rows_without_label", "have no label and were not trained on"),
        ("rows_without_entity", "have no entity key and can never be predicted"),
        ("rows_sampled_out", "are beyond max_rows and were not trained on"),
    ):
        if number := training.get(name):
            yield f"{counted(number, 'row')} {words}."
    if small := training.get("entities_small"):
        yield f"Too few rows for a model of their own: {_entities(small)}."
    if failed := training.get("entities_failed"):
        yield f"The training failed of {_entities(failed)}."
    if fallback := evaluation.get("entities_fallback"):
        yield f"Served by the model of all rows: {_entities(fallback)}."
    if failed := evaluation.get("rows_failed"):
        yield f"{counted(failed, 'prediction')} of held-out rows failed; they count as errors."
    if found := summary.validation.get("anomalies"):
        yield f"The rows have {anomalies(found)}; Data lists what is odd."
    if gap := summary.fairness.get("gap"):
        fairness = summary.fairness
        yield (
            f"{metric_name(fairness['metric'])} differs by {metric(gap)} between groups of "
            f"{fairness['column']}."
        )
    if evaluation and not evaluation["blessed"]:
        yield f"It was not blessed: {evaluation['reason'] or 'see the evaluation'}."
    if evaluation.get("notes"):
        yield str(evaluation["notes"])
