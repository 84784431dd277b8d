"""Evaluates one model on held-out rows, overall and by slices, against the pushed one.

<uri>/eval_config.json, metrics, plots ...   what `tfma.load_eval_result` opens
<uri>/slices.parquet                         SLICE columns, see `slices.py`
<uri>/fairness.parquet                       see `components.entity_evaluator.tables`
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.gate import Overall, objections
from components.entity_evaluator.predictions import Pass, PredictScores, WriteScores
from components.entity_evaluator.result import EvaluationResult
from components.entity_evaluator.scores import EvaluatedRows, ScoreColumns, read_scores
from components.entity_evaluator.slices import AnalyzeSlices
from components.entity_evaluator.tables import fairness_table
from components.entity_models.open import Models, open_models
from components.errors import BeamfleetError
from components.evaluator.label import AddLabel
from components.evaluator.slices import slice_table
from components.examples.read import ExamplesSplit, ReadExamples
from components.files import write_parquet

CANDIDATE, PUSHED = "candidate", "pushed"
FAIRNESS_FILE, SLICES_FILE = "fairness.parquet", "slices.parquet"


@dataclass(frozen=True)
class EvaluationTask:
    """What is evaluated, and where results go."""

    examples: ExamplesSplit
    """Raw rows."""
    candidate_uri: str
    pushed_uri: str | None
    """The model to compare with; None if nothing is pushed."""
    graph_uri: str | None
    """TransformGraph that may compute the label; None: it is a raw column."""
    evaluation_uri: str
    """Folder of the evaluation, new or empty."""
    expected_rows: int | None = None
    """Rows that the split is known to have."""


def evaluate(
    task: EvaluationTask, config: EvaluationConfig, make_pipeline: Callable[[], beam.Pipeline]
) -> EvaluationResult:
    """Predicts each row with the candidate and with the pushed model, measures and judges.

    Args:
      task: What and where.
      config: Settings; `components.entity_evaluator.gate` has the rules.
      make_pipeline: Gives a Beam pipeline.

    Raises:
      BeamfleetError: a model or the split is not what it has to be, or rows were lost.
    """
    candidate = open_models(task.candidate_uri)
    pushed = open_models(task.pushed_uri) if task.pushed_uri else None
    if pushed is not None:
        _check_comparable(candidate, pushed)
    rows = _predict(task, config, candidate, pushed, make_pipeline)
    _check_rows(task, rows)
    outcomes = rows.outcomes
    write_parquet(
        f"{task.evaluation_uri}/{SLICES_FILE}",
        slice_table(outcomes, rows.extra, config, candidate.spec.task),
    )
    write_parquet(
        f"{task.evaluation_uri}/{FAIRNESS_FILE}",
        fairness_table(outcomes[CANDIDATE], rows.extra, config.fairness, config.min_eval_rows),
    )
    overall = Overall(
        composed=outcomes[CANDIDATE],
        fallback=None,
        pushed=outcomes.get(PUSHED),
        metric=config.decision_metric(candidate.spec.task),
        metrics=config.metrics_for(candidate.spec.task),
        error=rows.errors.get(CANDIDATE, ""),
    )
    return EvaluationResult(
        objections=objections(overall, config),
        unchanged=pushed is not None and pushed.fingerprint == candidate.fingerprint,
        counts={**rows.counts, "rows_failed": int(outcomes[CANDIDATE].failed.sum())},
        overall=_values(overall) if rows.counts["rows_evaluated"] else {},
        notes=_notes(rows),
    )


def _predict(
    task: EvaluationTask,
    config: EvaluationConfig,
    candidate: Models,
    pushed: Models | None,
    make_pipeline: Callable[[], beam.Pipeline],
) -> EvaluatedRows:
    passes = [Pass(CANDIDATE, candidate.uri)]
    if pushed is not None:
        passes.append(Pass(PUSHED, pushed.uri))
    extra = tuple(sorted({c for s in config.slices for c in s} | set(config.fairness)))
    columns = ScoreColumns(
        candidate.spec,
        tuple(one.name for one in passes),
        extra,
        config.positive_label,
        probabilities=True,
    )
    folder = f"{task.evaluation_uri}/predictions"
    try:
        with make_pipeline() as pipeline:
            examples = pipeline | "ReadExamples" >> ReadExamples(task.examples)
            if task.graph_uri is not None:
                examples = examples | "AddLabel" >> beam.ParDo(
                    AddLabel(task.graph_uri, candidate.spec.label, candidate.spec.classes)
                )
            scores = examples | "PredictScores" >> PredictScores(passes, columns)
            _ = scores | "WriteScores" >> WriteScores(folder, columns)
            _ = scores | "AnalyzeSlices" >> AnalyzeSlices(
                task.evaluation_uri, columns, CANDIDATE, _slicings(config)
            )
        return read_scores(folder, columns)
    finally:
        # Labels and groups of single rows are nobody's business once they are counted.
        if FileSystems.exists(folder):
            FileSystems.delete([folder])


def _slicings(config: EvaluationConfig) -> list[tuple[str, ...]]:
    return list(dict.fromkeys([*config.slices, *((column,) for column in config.fairness)]))


def _check_comparable(candidate: Models, pushed: Models) -> None:
    ours, theirs = candidate.spec, pushed.spec
    for name in ("label", "task", "classes"):
        if getattr(ours, name) != getattr(theirs, name):
            raise BeamfleetError(
                f"the candidate cannot be compared with {pushed.uri}: {name} was "
                f"{getattr(theirs, name)!r}, is {getattr(ours, name)!r}; push to a new directory"
            )


def _check_rows(task: EvaluationTask, rows: EvaluatedRows) -> None:
    if task.expected_rows is not None and rows.counts["rows_in"] != task.expected_rows:
        raise BeamfleetError(
            f"{task.examples.uri}: split {task.examples.split!r} should have {task.expected_rows} "
            f"rows, {rows.counts['rows_in']} were evaluated"
        )


def _values(overall: Overall) -> dict[str, dict[str, float | None]]:
    names = {"composed": CANDIDATE}
    return {
        names.get(model, model): {n: None if math.isnan(v) else v for n, v in metrics.items()}
        for model, metrics in overall.values().items()
    }


def _notes(rows: EvaluatedRows) -> list[str]:
    notes = []
    if unknown := rows.counts["rows_unknown_label"]:
        notes.append(f"{unknown} rows have a label that the model does not know; they are errors")
    if missing := rows.counts["rows_missing_label"]:
        notes.append(f"{missing} rows have no label and were not evaluated")
    return [*notes, *(f"{n} failed, for instance {e}" for n, e in rows.errors.items())]
