"""Evaluates a candidate, composes the new version, and evaluates that as a whole."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from components.entity_evaluator.assemble import check_agreement, contest_of, served
from components.entity_evaluator.compose import (
    Source,
    check_same_spec,
    choose,
    is_unchanged,
    write_store,
)
from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.contest import Contest, compare
from components.entity_evaluator.gate import Overall, objections
from components.entity_evaluator.metrics import Groups, Outcomes
from components.entity_evaluator.predictions import Pass, PredictScores, WriteScores
from components.entity_evaluator.result import EvaluationResult
from components.entity_evaluator.scores import EvaluatedRows, ScoreColumns, read_scores
from components.entity_evaluator.slice_table import SLICES_FILE, slice_table
from components.entity_evaluator.slices import AnalyzeSlices
from components.entity_evaluator.tables import entity_table, fairness_table, metrics_json
from components.entity_evaluator.verdicts import Verdicts, decide
from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, ReadExamples, read_batches
from components.files import write_parquet

ENTITIES_FILE, FAIRNESS_FILE = "entities.parquet", "fairness.parquet"


@dataclass(frozen=True)
class EvaluationTask:
    """What is evaluated, and where results go."""

    examples: ExamplesSplit
    candidate_uri: str
    """The trainer's entity models."""
    pushed_uri: str | None
    """The entity models to compare with and to compose over; None if nothing is pushed."""
    evaluation_uri: str
    """Folder of the evaluation, new or empty."""
    composed_uri: str
    """Folder of the composed entity models, new or empty."""
    expected_rows: int | None = None
    """Rows that the split is known to have."""


def evaluate(
    task: EvaluationTask, config: EvaluationConfig, make_pipeline: Callable[[], beam.Pipeline]
) -> EvaluationResult:
    """Runs the evaluation; see `verdicts.py` and `gate.py` for the rules.

    Writes entities.parquet, slices.parquet (the composed version beside the pushed one),
    fairness.parquet and TFMA's files into `task.evaluation_uri`, and the composed store into
    `task.composed_uri`.

    Args:
      task: what and where.
      config: settings.
      make_pipeline: gives a Beam pipeline; called twice (predict, then predict as composed).

    Raises:
      BeamfleetError: a store or the split is not what it has to be, the candidate does not fit what
        is pushed, rows were lost, or the composed store predicts otherwise than its parts.
    """
    return _Evaluation(task, config, make_pipeline).run()


class _Evaluation:
    """One run; holds what the steps share."""

    def __init__(
        self,
        task: EvaluationTask,
        config: EvaluationConfig,
        make_pipeline: Callable[[], beam.Pipeline],
    ) -> None:
        self._task, self._config, self._make_pipeline = task, config, make_pipeline
        self._candidate = EntityModels(task.candidate_uri)
        self._pushed = EntityModels(task.pushed_uri) if task.pushed_uri else None
        if self._pushed is not None:
            check_same_spec(self._candidate, self._pushed)
        self._spec = self._candidate.spec
        self._metrics = config.metrics_for(self._spec.task)
        self._metric = config.decision_metric(self._spec.task)
        self._extra = tuple(sorted({c for s in config.slices for c in s} | set(config.fairness)))
        _check_columns(task.examples, (self._spec.label, *self._extra))

    def run(self) -> EvaluationResult:
        rows = self._predict_apart()
        fallback_from, fallback = self._choose_fallback(rows)
        contest = contest_of(self._candidate, self._pushed, rows, fallback, self._metric)
        verdicts = decide(contest, self._config)
        composed = served(contest, verdicts)
        table = self._entity_table(contest, verdicts, composed)
        serves = dict(zip(contest.entities, verdicts.serves, strict=True))
        sources = choose(self._candidate, self._pushed, serves, fallback_from)
        unchanged = is_unchanged(sources, self._pushed)
        # The same models keep their index too, so that the store is the same byte for byte.
        self._compose(sources, {} if unchanged else metrics_json(table, self._metrics))
        whole = self._predict_whole()
        check_agreement(rows, composed, whole, contest.metric)
        overall = Overall(
            composed=composed,
            fallback=contest.fallback,
            pushed=contest.pushed,
            metric=self._metric,
            metrics=self._metrics,
            error=whole.errors.get("composed", ""),
        )
        self._write_tables(table, overall, rows.extra)
        counts = {f"entities_{verdict}": verdicts.count(verdict) for verdict in _VERDICTS}
        failed = int(composed.failed.sum())
        return EvaluationResult(
            objections=objections(overall, self._config),
            unchanged=unchanged,
            counts={**counts, **rows.counts, "rows_failed": failed},
            overall=_without_nan(overall.values()) if rows.counts["rows_evaluated"] else {},
            notes=_notes(rows, fallback_from),
        )

    def _entity_table(self, contest: Contest, verdicts: Verdicts, composed: Outcomes) -> pa.Table:
        has_own = [_trained(self._candidate, entity) for entity in contest.entities]
        names = [str(name) for name in self._spec.classes]
        return entity_table(contest, verdicts, composed, has_own, self._metrics, names)

    def _write_tables(self, entities: pa.Table, overall: Overall, extra: pa.Table) -> None:
        config = self._config
        tables = {
            ENTITIES_FILE: entities,
            SLICES_FILE: slice_table(overall.models(), extra, config, self._metrics),
            FAIRNESS_FILE: fairness_table(
                overall.composed, extra, config.fairness, config.min_eval_rows
            ),
        }
        for name, table in tables.items():
            write_parquet(f"{self._task.evaluation_uri}/{name}", table)

    def _predict_apart(self) -> EvaluatedRows:
        """Predicts every row with each model that competes."""
        candidate, pushed = self._candidate, self._pushed
        passes = [Pass("candidate", candidate.uri)]
        if _fallback_sha256(candidate):
            passes.append(Pass("candidate_fallback", candidate.uri, only="fallback"))
        if pushed is not None:
            passes.append(Pass("pushed", pushed.uri))
            if _fallback_sha256(pushed) not in ("", _fallback_sha256(candidate)):
                passes.append(Pass("pushed_fallback", pushed.uri, only="fallback"))
        columns = ScoreColumns(
            self._spec,
            tuple(one.name for one in passes),
            self._extra,
            self._config.positive_label,
        )
        rows = self._run(passes, columns, "apart", slices=False)
        expected = self._task.expected_rows
        if expected is not None and rows.counts["rows_in"] != expected:
            raise BeamfleetError(
                f"{self._task.examples.uri}: split {self._task.examples.split!r} should have "
                f"{expected} rows, {rows.counts['rows_in']} were evaluated"
            )
        return rows

    def _predict_whole(self) -> EvaluatedRows:
        """Predicts every row as the new version will, and has TFMA look at that."""
        columns = ScoreColumns(
            self._spec,
            ("composed",),
            self._extra,
            self._config.positive_label,
            probabilities=True,
        )
        passes = [Pass("composed", self._task.composed_uri)]
        return self._run(passes, columns, "whole", slices=True)

    def _run(
        self, passes: list[Pass], columns: ScoreColumns, name: str, slices: bool
    ) -> EvaluatedRows:
        folder = f"{self._task.evaluation_uri}/predictions-{name}"
        try:
            with self._make_pipeline() as pipeline:
                scores = (
                    pipeline
                    | "ReadExamples" >> ReadExamples(self._task.examples)
                    | "PredictScores" >> PredictScores(passes, columns)
                )
                _ = scores | "WriteScores" >> WriteScores(folder, columns)
                if slices:
                    slicings = self._slicings()
                    _ = scores | "AnalyzeSlices" >> AnalyzeSlices(
                        self._task.evaluation_uri, columns, passes[0].name, slicings
                    )
            return read_scores(folder, columns)
        finally:
            # Labels and groups of single rows are nobody's business once they are counted.
            if FileSystems.exists(folder):
                FileSystems.delete([folder])

    def _slicings(self) -> list[tuple[str, ...]]:
        alone = [(column,) for column in self._config.fairness]
        return list(dict.fromkeys([*self._config.slices, *alone]))

    def _choose_fallback(self, rows: EvaluatedRows) -> tuple[str, Outcomes | None]:
        """The candidate's fallback, unless it is significantly worse than the pushed one."""
        new = rows.outcomes.get("candidate_fallback")
        old = rows.outcomes.get("pushed_fallback")
        if old is None:
            return "candidate", new
        if new is None:
            return "pushed", old
        [p] = compare(old, new, Groups.single(len(new.label)), self._metric)
        return ("pushed", old) if p <= self._config.alpha else ("candidate", new)

    def _compose(self, sources: list[Source], metrics: Mapping[str, str]) -> None:
        if not sources:
            raise BeamfleetError(
                f"{self._candidate.uri} has neither a fallback nor an entity's own model that may "
                "serve; look at the reasons of its index and train again"
            )
        own = sum(source.entry.kind == "entity" for source in sources)
        from_pushed = sum(source.store is self._pushed for source in sources)
        counts = {"entities": own, "fallbacks": len(sources) - own, "from_pushed": from_pushed}
        write_store(self._task.composed_uri, sources, metrics, counts)


def _notes(rows: EvaluatedRows, fallback_from: str) -> list[str]:
    notes = []
    if unknown := rows.counts["rows_unknown_label"]:
        notes.append(f"{unknown} rows have a label that no model knows; they count as errors")
    for name in ("label", "entity"):
        if missing := rows.counts[f"rows_missing_{name}"]:
            notes.append(f"{missing} rows have no {name} and were not evaluated")
    notes += [f"{name} failed, for instance {error}" for name, error in rows.errors.items()]
    if fallback_from == "pushed":
        notes.append("the candidate's fallback is significantly worse: the pushed one stays")
    return notes


def _check_columns(examples: ExamplesSplit, needed: tuple[str, ...]) -> None:
    """Says what is missing before Beam runs, whose errors are wrapped in its own."""
    if examples.payload != "FORMAT_PARQUET":
        return
    first = next(read_batches(examples), None)
    missing = [name for name in needed if first is not None and name not in first.schema.names]
    if first is not None and missing:
        raise BeamfleetError(
            f"{examples.uri}: split {examples.split!r} lacks the columns {missing} (label, slices "
            f"or fairness); it has {first.schema.names}"
        )


def _trained(store: EntityModels, entity: str) -> bool:
    entry = store.entry(entity)
    return entry is not None and entry.status == "trained"


def _fallback_sha256(store: EntityModels) -> str:
    """Empty if there is none, or its training failed."""
    return store.fallback_entry.sha256 if store.fallback_entry else ""


def _without_nan(
    values: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, float | None]]:
    return {
        model: {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        for model, metrics in values.items()
    }


_VERDICTS = ("blessed", "kept", "fallback", "refused")
