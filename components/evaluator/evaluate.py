"""Evaluates one model or several candidates on held-out rows, against the current model.

<uri>/eval_config.json, metrics, plots ...   what `tfma.load_eval_result` opens
<uri>/slices.parquet                         one row a slice, see
                                             `components.entity_evaluator.slice_table`
<uri>/candidates.parquet                     one row a candidate, see `candidates.py`
<uri>/fairness.parquet                       see `components.entity_evaluator.tables`
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.parquetio import ReadFromParquetBatched

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.gate import Overall
from components.entity_evaluator.predictions import Pass, PredictScores, WriteScores
from components.entity_evaluator.result import EvaluationResult
from components.entity_evaluator.scores import EvaluatedRows, ScoreColumns, read_scores
from components.entity_evaluator.slice_table import SLICES_FILE, slice_table
from components.entity_evaluator.slices import AnalyzeSlices
from components.entity_evaluator.tables import fairness_table
from components.entity_models.open import Models, open_models
from components.errors import BeamfleetError
from components.evaluator.candidates import (
    CANDIDATES_FILE,
    Judged,
    best,
    candidate_table,
    why_none,
)
from components.evaluator.current import CurrentModel, check_same, opened
from components.evaluator.label import AddLabel
from components.examples.read import ExamplesSplit, ReadExamples
from components.files import write_parquet

CURRENT = "current"
FAIRNESS_FILE = "fairness.parquet"


@dataclass(frozen=True)
class EvaluationTask:
    """What is evaluated, and where results go."""

    examples: ExamplesSplit
    """Raw rows."""
    candidates: Mapping[str, str]
    """Name -> folder of the model; a lone one may have any name."""
    current: CurrentModel | None
    """The model to compare with; None if none is pushed or blessed yet."""
    graph_uri: str | None
    """TransformGraph that may compute the label; None: it is a raw column."""
    evaluation_uri: str
    """Folder of the evaluation, new or empty."""
    expected_rows: int | None = None
    """Rows that the split is known to have."""


@dataclass(frozen=True)
class Evaluation:
    """The verdict, and on which of the candidates."""

    result: EvaluationResult
    chosen: str
    """Name of the best candidate that passes; if none passes, of the best."""


def evaluate(
    task: EvaluationTask, config: EvaluationConfig, make_pipeline: Callable[[], beam.Pipeline]
) -> Evaluation:
    """Predicts each row with every candidate and the current model, measures, judges and chooses.

    The rows that choose among candidates also measure them, so that the values of the chosen one
    lean to the good side, the more the more candidates there are.

    Args:
      task: What and where.
      config: Settings; `components.entity_evaluator.gate` has the rules.
      make_pipeline: Gives a Beam pipeline.

    Raises:
      BeamfleetError: a model or the split is not what it has to be, or rows were lost.
    """
    models = {name: open_models(uri) for name, uri in task.candidates.items()}
    first, *others = models.values()
    for other in others:
        check_same(first.spec, other.spec, f"the candidate {other.uri}")
    current, compared_with = opened(task.current, first.spec)
    passes = {_pass(name): model for name, model in models.items()}
    passes |= {CURRENT: current} if current else {}
    columns = _columns(config, first, [*passes])
    try:
        rows = _predict(task, columns, passes, make_pipeline)
        _check_rows(task, rows)
        role = task.current.role if task.current and current else "pushed"
        judged = [
            Judged.of(name, model.uri, _overall(name, rows, config, model.spec.task, role), config)
            for name, model in models.items()
        ]
        chosen = best(judged, config.choosing_metric(first.spec.task))
        _analyze(task, config, columns, chosen, make_pipeline)
    finally:
        # Labels and groups of single rows are nobody's business once they are counted.
        if FileSystems.exists(_scores(task)):
            FileSystems.delete([_scores(task)])
    _write_tables(task, config, rows, judged, chosen)
    unchanged = current is not None and current.fingerprint == models[chosen.name].fingerprint
    result = _result(config, rows, judged, chosen, unchanged, compared_with)
    return Evaluation(result, chosen.name)


def _predict(
    task: EvaluationTask,
    columns: ScoreColumns,
    models: Mapping[str, Models],
    make_pipeline: Callable[[], beam.Pipeline],
) -> EvaluatedRows:
    passes = [Pass(name, model.uri) for name, model in models.items()]
    with make_pipeline() as pipeline:
        examples = pipeline | "ReadExamples" >> ReadExamples(task.examples)
        if task.graph_uri is not None:
            examples = examples | "AddLabel" >> beam.ParDo(
                AddLabel(task.graph_uri, columns.spec.label, columns.spec.classes)
            )
        scores = examples | "PredictScores" >> PredictScores(passes, columns)
        _ = scores | "WriteScores" >> WriteScores(_scores(task), columns)
    return read_scores(_scores(task), columns)


def _analyze(
    task: EvaluationTask,
    config: EvaluationConfig,
    columns: ScoreColumns,
    chosen: Judged,
    make_pipeline: Callable[[], beam.Pipeline],
) -> None:
    """TFMA on the predictions of the chosen one."""
    with make_pipeline() as pipeline:
        scores = pipeline | "ReadScores" >> ReadFromParquetBatched(f"{_scores(task)}/*.parquet")
        _ = scores | "AnalyzeSlices" >> AnalyzeSlices(
            task.evaluation_uri, columns, _pass(chosen.name), _slicings(config)
        )


def _overall(
    name: str, rows: EvaluatedRows, config: EvaluationConfig, task: str, role: str
) -> Overall:
    return Overall(
        composed=rows.outcomes[_pass(name)],
        fallback=None,
        pushed=rows.outcomes.get(CURRENT),
        metric=config.decision_metric(task),
        metrics=config.metrics_for(task),
        error=rows.errors.get(_pass(name), ""),
        role=role,
    )


def _write_tables(
    task: EvaluationTask,
    config: EvaluationConfig,
    rows: EvaluatedRows,
    judged: list[Judged],
    chosen: Judged,
) -> None:
    overall = chosen.overall
    tables = {
        SLICES_FILE: slice_table(overall.models(), rows.extra, config, overall.metrics),
        FAIRNESS_FILE: fairness_table(
            overall.composed, rows.extra, config.fairness, config.min_eval_rows
        ),
        CANDIDATES_FILE: candidate_table(judged, chosen, config),
    }
    for name, table in tables.items():
        write_parquet(f"{task.evaluation_uri}/{name}", table)


def _result(
    config: EvaluationConfig,
    rows: EvaluatedRows,
    judged: list[Judged],
    chosen: Judged,
    unchanged: bool,
    compared_with: str,
) -> EvaluationResult:
    measured = rows.counts["rows_evaluated"] > 0
    failed = int(chosen.overall.composed.failed.sum())
    return EvaluationResult(
        objections=why_none(judged),
        unchanged=unchanged,
        counts={**rows.counts, "rows_failed": failed},
        overall=_values(chosen.overall) if measured else {},
        notes=_notes(rows),
        intervals=chosen.intervals(config.confidence) if measured else {},
        compared_with=compared_with,
    )


def _columns(config: EvaluationConfig, first: Models, passes: list[str]) -> ScoreColumns:
    extra = tuple(sorted({c for s in config.slices for c in s} | set(config.fairness)))
    return ScoreColumns(first.spec, tuple(passes), extra, config.positive_label, probabilities=True)


def _pass(name: str) -> str:
    """A candidate may have the name of something else."""
    return f"candidate {name}".strip()


def _scores(task: EvaluationTask) -> str:
    return f"{task.evaluation_uri}/predictions"


def _slicings(config: EvaluationConfig) -> list[tuple[str, ...]]:
    return list(dict.fromkeys([*config.slices, *((column,) for column in config.fairness)]))


def _check_rows(task: EvaluationTask, rows: EvaluatedRows) -> None:
    if task.expected_rows is not None and rows.counts["rows_in"] != task.expected_rows:
        raise BeamfleetError(
            f"{task.examples.uri}: split {task.examples.split!r} should have {task.expected_rows} "
            f"rows, {rows.counts['rows_in']} were evaluated"
        )


def _values(overall: Overall) -> dict[str, dict[str, float | None]]:
    names = {"composed": "candidate"}
    return {
        names.get(model, model): {n: v if math.isfinite(v) else None for n, v in metrics.items()}
        for model, metrics in overall.values().items()
    }


def _notes(rows: EvaluatedRows) -> list[str]:
    notes = []
    if unknown := rows.counts["rows_unknown_label"]:
        notes.append(f"{unknown} rows have a label that the model does not know; they are errors")
    if missing := rows.counts["rows_missing_label"]:
        notes.append(f"{missing} rows have no label and were not evaluated")
    return [*notes, *(f"{n} failed, for instance {e}" for n, e in rows.errors.items())]
