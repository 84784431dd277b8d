"""Evaluates an ensemble that captions images by its InferenceResult."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.caption_evaluator.compare import Difference, exact_matches, paired
from components.caption_evaluator.config import MOST_VALUES, CaptionEvaluationConfig
from components.caption_evaluator.gate import NO_REFERENCES, AgainstPushed, objections
from components.caption_evaluator.intervals import Interval, intervals
from components.caption_evaluator.notes import against_notes, image_notes
from components.caption_evaluator.read import CaptionResult, read_result, source_columns
from components.caption_evaluator.score import bleu_signature, count, measure, score_images
from components.caption_evaluator.slices import slice_table, variant_differences
from components.errors import BeamfleetError
from components.files import write_json, write_parquet

IMAGES_FILE, SLICES_FILE, METRICS_FILE = "images.parquet", "slices.parquet", "metrics.json"


@dataclass(frozen=True)
class CaptionEvaluationTask:
    """What is evaluated, and where results go."""

    result_uri: str
    """InferenceResult of the candidate, with references where there are any."""
    evaluation_uri: str
    """Folder of the evaluation."""
    baseline_uri: str | None = None
    """InferenceResult of the pushed version on the same images; None if there is none."""
    baseline_version: int = 0
    """The version that is pushed; 0 if nothing is, or nobody knows."""


@dataclass(frozen=True)
class CaptionEvaluation:
    """The verdict on an ensemble."""

    objections: list[str]
    """Why it may not be pushed; empty: it is blessed."""
    counts: Mapping[str, int]
    """rows_in = rows_evaluated (with a reference) + rows_without_reference + rows_failed."""
    overall: Mapping[str, Mapping[str, float | None]]
    """Metrics by model (candidate, pushed); None where undefined."""
    intervals: Mapping[str, Interval | None]
    """Of the candidate's metrics; None where undefined."""
    ranking: Difference | None
    """exact_match against own_order_exact_match; None where one of them is undefined."""
    notes: list[str]
    """What a reader should know beside the verdict."""
    images: pa.Table
    """What images.parquet holds, see `score.score_images`."""
    slicings: tuple[tuple[str, ...], ...]
    """What was sliced by: what was asked for, and the variants where there are several."""

    @property
    def blessed(self) -> bool:
        return not self.objections


def evaluate(task: CaptionEvaluationTask, config: CaptionEvaluationConfig) -> CaptionEvaluation:
    """Measures, compares and judges; `gate.py` has the rules.

    Writes metrics.json, images.parquet (`score.score_images`) and slices.parquet (`slices.SCHEMA`)
    into `task.evaluation_uri`.

    Raises:
      BeamfleetError: a result is not what it has to be (see `read_result`), or there are variants
        of an A/B test to compare with a pushed version.
    """
    return _Evaluation(task, config).run()


class _Evaluation:
    """One run; holds what the steps share."""

    def __init__(self, task: CaptionEvaluationTask, config: CaptionEvaluationConfig) -> None:
        self._task, self._config = task, config
        columns = source_columns(task.result_uri) if config.slices is None else config.columns
        self._result = read_result(task.result_uri, columns)
        self._images = score_images(self._result)
        self._variants = _variants(self._result)
        self._many = [c for c in columns if config.slices is None and self._has_many_values(c)]
        asked = [(c,) for c in columns] if config.slices is None else config.slices
        there = [s for s in asked if not set(s) & {*self._result.missing, *self._many}]
        alone = [("variant",)] if self._variants > 1 else []
        self._slicings = tuple(dict.fromkeys([*there, *alone]))
        self._baseline = read_result(task.baseline_uri, ()) if task.baseline_uri else None
        self._against, self._pushed = None, None
        if self._baseline is not None and not self._baseline.skipped:
            _check_no_variants(self._result, self._baseline)
            self._pushed = score_images(self._baseline)
            self._against = AgainstPushed.of(self._images, self._pushed)

    def run(self) -> CaptionEvaluation:
        tables = {"candidate": self._images, "pushed": self._pushed}
        found = self._objections()
        evaluation = CaptionEvaluation(
            objections=found,
            counts=count(self._images),
            overall={name: measure(t) for name, t in tables.items() if t is not None},
            intervals=intervals(self._images, self._config.confidence),
            ranking=_ranking(self._images, self._config.confidence),
            notes=self._notes(told=NO_REFERENCES in found),
            images=self._images,
            slicings=self._slicings,
        )
        self._write(evaluation)
        return evaluation

    def _objections(self) -> list[str]:
        if self._result.skipped:
            return [f"nothing was inferred: {self._result.skipped}"]
        found = objections(self._images, self._against, self._config)
        version = self._task.baseline_version
        if self._against is None and version and (self._baseline or self._config.dropping):
            why = self._baseline.skipped if self._baseline else "there is no baseline_result"
            found.append(f"it cannot be compared with the pushed version {version}: {why}")
        return found

    def _notes(self, *, told: bool) -> list[str]:
        """`told` is whether an objection says that nothing could be compared."""
        notes = image_notes(self._images, self._unknown)
        if (missing := self._result.missing) and not told:
            notes.append(f"not sliced by {', '.join(missing)}: no image has a reference or these")
        if self._many:
            notes.append(f"not sliced by {', '.join(self._many)}: more than {MOST_VALUES} values")
        if self._variants > 1:
            notes.append(f"{self._variants} variants were judged together")
        if self._against is not None and self._baseline is not None:
            return notes + against_notes(self._against, self._result, self._baseline, self._config)
        version = self._task.baseline_version
        if version:
            return [*notes, f"it was not compared with the pushed version {version}"]
        if self._config.dropping and not told:
            metrics = ", ".join(self._config.dropping)
            notes.append(f"no version is pushed, so max_drop of {metrics} was not asked for")
        return notes

    def _has_many_values(self, column: str) -> bool:
        return int(pc.count_distinct(self._result.rows.column(column)).as_py()) > MOST_VALUES

    @property
    def _unknown(self) -> frozenset[str]:
        """Columns to slice by that are not known of dead letters."""
        dead = self._result.dead_letters
        asked = {column for slicing in self._slicings for column in slicing}
        return frozenset(asked - set(dead.column_names)) if dead.num_rows else frozenset()

    def _write(self, evaluation: CaptionEvaluation) -> None:
        folder, confidence = self._task.evaluation_uri, self._config.confidence
        table = slice_table(self._images, self._slicings, self._unknown, confidence)
        write_parquet(f"{folder}/{IMAGES_FILE}", self._images)
        write_parquet(f"{folder}/{SLICES_FILE}", table)
        content = {
            "overall": evaluation.overall,
            "counts": evaluation.counts,
            "confidence": confidence,
            "intervals": evaluation.intervals,
            "ranking": evaluation.ranking and asdict(evaluation.ranking),
            "against_pushed": self._against and _as_json(self._against, confidence),
            "variants": variant_differences(self._images, confidence),
            "bleu_signature": bleu_signature(),
            "objections": evaluation.objections,
            "notes": evaluation.notes,
        }
        write_json(f"{folder}/{METRICS_FILE}", content)


def _variants(result: CaptionResult) -> int:
    return len(pc.unique(result.rows.column("variant")))


def _check_no_variants(*results: CaptionResult) -> None:
    for result in results:
        if _variants(result) > 1:
            raise BeamfleetError(
                f"{result.uri} holds variants of an A/B test, which are no one version to compare "
                "with the pushed one; give the result of one ensemble"
            )


def _ranking(images: pa.Table, confidence: float) -> Difference | None:
    """Whether the ranker's order is better than the captioner's own."""
    if measure(images)["own_order_exact_match"] is None:
        return None
    own = exact_matches(images, "own_order_exact_match")
    return paired(exact_matches(images), own, confidence)


def _as_json(against: AgainstPushed, confidence: float) -> dict[str, Any]:
    ours, theirs = exact_matches(against.candidate), exact_matches(against.pushed)
    return {
        "images": against.candidate.num_rows,
        "candidate": against.candidate_values,
        "pushed": against.pushed_values,
        "exact_match": asdict(paired(ours, theirs, confidence)) if len(ours) else None,
    }
