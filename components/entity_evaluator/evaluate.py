"""Evaluates a candidate, composes the new version, and evaluates that as a whole."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.entity_evaluator.compose import (
    Source,
    check_same_spec,
    choose,
    is_unchanged,
    write_store,
)
from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.contest import HELD, NEW, NONE, REFRESH, Contest, compare
from components.entity_evaluator.gate import Overall, objections
from components.entity_evaluator.metrics import Groups, Outcomes, all_failed, merge, row_losses
from components.entity_evaluator.predictions import Pass, PredictScores, WriteScores
from components.entity_evaluator.scores import EvaluatedRows, ScoreColumns, read_scores
from components.entity_evaluator.slices import AnalyzeSlices
from components.entity_evaluator.tables import entity_table, fairness_table, metrics_json
from components.entity_evaluator.verdicts import Verdicts, decide
from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, ReadExamples, read_batches

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


@dataclass(frozen=True)
class EvaluationResult:
    """The verdict on the new version."""

    objections: list[str]
    """Why it may not be pushed; empty: it is blessed."""
    unchanged: bool
    """The new version holds exactly the models that are pushed."""
    counts: Mapping[str, int]
    """entities_blessed, _kept, _fallback, _refused; rows_in, rows_evaluated, rows_failed ..."""
    overall: Mapping[str, Mapping[str, float | None]]
    """Metrics by model (composed, pushed, fallback, majority); None where undefined."""
    notes: list[str]
    """What a reader should know beside the verdict."""

    @property
    def blessed(self) -> bool:
        return not self.objections


def evaluate(
    task: EvaluationTask, config: EvaluationConfig, make_pipeline: Callable[[], beam.Pipeline]
) -> EvaluationResult:
    """Runs the evaluation; see `verdicts.py` and `gate.py` for the rules.

    Writes entities.parquet, fairness.parquet and TFMA's files into `task.evaluation_uri`, and the
    composed store into `task.composed_uri`.

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
        contest = _contest(self._candidate, self._pushed, rows, fallback, self._metric)
        verdicts = decide(contest, self._config)
        composed = _served(contest, verdicts)
        table = entity_table(
            contest,
            verdicts,
            composed,
            [_trained(self._candidate, entity) for entity in contest.entities],
            self._metrics,
            [str(name) for name in self._spec.classes],
        )
        serves = dict(zip(contest.entities, verdicts.serves, strict=True))
        sources = choose(self._candidate, self._pushed, serves, fallback_from)
        unchanged = is_unchanged(sources, self._pushed)
        self._compose(sources, {} if unchanged else metrics_json(table, self._metrics))
        whole = self._predict_whole()
        _check_agreement(rows, composed, whole, contest)
        _write_table(table, f"{self._task.evaluation_uri}/{ENTITIES_FILE}")
        groups = fairness_table(
            whole.outcomes["composed"],
            whole.extra,
            self._config.fairness,
            self._config.min_eval_rows,
        )
        _write_table(groups, f"{self._task.evaluation_uri}/{FAIRNESS_FILE}")
        overall = Overall(
            composed,
            contest.fallback,
            contest.pushed,
            self._metric,
            self._metrics,
            whole.errors.get("composed", ""),
        )
        return EvaluationResult(
            objections=objections(overall, self._config),
            unchanged=unchanged,
            counts={
                **{f"entities_{v}": verdicts.count(v) for v in _VERDICTS},
                **rows.counts,
                "rows_failed": int(composed.failed.sum()),
            },
            overall=_without_nan(overall.values()) if rows.counts["rows_evaluated"] else {},
            notes=_notes(rows, fallback_from),
        )

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
            positive_label=self._config.positive_label,
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


def _contest(
    candidate: EntityModels,
    pushed: EntityModels | None,
    rows: EvaluatedRows,
    fallback: Outcomes | None,
    metric: str,
) -> Contest:
    ours = _index(candidate)
    theirs = {e: row for e, row in _index(pushed).items() if row["status"] == "trained"}
    entities = sorted({*rows.entities, *ours, *theirs})
    position = {entity: i for i, entity in enumerate(entities)}
    renumbered = np.array([position[entity] for entity in rows.entities], dtype=np.int64)
    told = [_situation(ours.get(entity), theirs.get(entity)) for entity in entities]
    return Contest(
        entities=entities,
        groups=Groups(renumbered[rows.groups.code], len(entities)),
        own=rows.outcomes["candidate"],
        fallback=fallback,
        pushed=rows.outcomes.get("pushed"),
        situation=np.array([situation for situation, _ in told], dtype=np.int64),
        note=[note for _, note in told],
        metric=metric,
    )


def _situation(ours: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> tuple[int, str]:
    """What own models an entity has, and what the candidate's index says about it."""
    if ours is None or ours["status"] != "trained":
        said = f"{ours['status']}: {ours['reason']}" if ours else "entity unseen in training"
        return (HELD if theirs else NONE), f"no own model in the candidate ({said})"
    if theirs is None:
        return NEW, ""
    if ours["sha256"] == theirs["sha256"]:
        return HELD, "unchanged"
    return REFRESH, ""


def _served(contest: Contest, verdicts: Verdicts) -> Outcomes:
    """(rows,) predictions of the new version, put together from those of its parts."""
    nothing = all_failed(contest.own)
    choices = {
        "candidate": contest.own,
        "pushed": contest.pushed or nothing,
        "fallback": contest.fallback or nothing,
    }
    names = list(choices)
    which = np.array([names.index(name) for name in verdicts.serves], dtype=np.int64)
    return merge(which[contest.groups.code], list(choices.values()))


def _check_agreement(
    rows: EvaluatedRows, composed: Outcomes, whole: EvaluatedRows, contest: Contest
) -> None:
    """The composed store must predict exactly what the verdicts were made on."""
    expected = _losses_by_entity(rows, composed, contest.metric)
    found = _losses_by_entity(whole, whole.outcomes["composed"], contest.metric)
    if rows.entities != whole.entities or not np.array_equal(rows.groups.rows, whole.groups.rows):
        raise BeamfleetError("the composed version was evaluated on other rows than its parts")
    different = np.flatnonzero(~np.isclose(expected, found, rtol=1e-6, atol=1e-9))
    if len(different):
        raise BeamfleetError(
            f"the composed version predicts entity {rows.entities[different[0]]!r} otherwise than "
            f"the model that it was composed from ({len(different)} such entities); models whose "
            "predictions change from call to call cannot be evaluated"
        )


def _losses_by_entity(
    rows: EvaluatedRows, outcomes: Outcomes, metric: str
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return rows.groups.sum(np.nan_to_num(row_losses(outcomes, metric)))


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


def _index(store: EntityModels | None) -> dict[str, dict[str, Any]]:
    if store is None:
        return {}
    columns = ["kind", "entity", "status", "reason", "sha256"]
    rows = store.index().select(columns).to_pylist()
    return {row["entity"]: row for row in rows if row["kind"] == "entity"}


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
        model: {name: None if math.isnan(value) else value for name, value in metrics.items()}
        for model, metrics in values.items()
    }


def _write_table(table: pa.Table, path: str) -> None:
    staged = f"{path}.tmp"
    with FileSystems.create(staged) as file:
        pq.write_table(table, file, compression="zstd")
    FileSystems.rename([staged], [path])


_VERDICTS = ("blessed", "kept", "fallback", "refused")
