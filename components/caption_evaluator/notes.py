"""What a reader of an evaluation should know beside the verdict."""

from collections import Counter

import pyarrow as pa

from components.caption_evaluator.config import CaptionEvaluationConfig
from components.caption_evaluator.gate import AgainstPushed, why_undefined
from components.caption_evaluator.read import CaptionResult
from components.caption_evaluator.score import count, measure
from components.ensemble.declaration import content_of


def image_notes(images: pa.Table, unknown: frozenset[str]) -> list[str]:
    """What was not measured, and why.

    Args:
      images: as `score_images` gives them.
      unknown: columns that dead letters lack.
    """
    counts, notes = count(images), []
    if failed := counts["rows_failed"]:
        reasons = Counter(images.column("failure").drop_null().to_pylist())
        [(reason, times)] = reasons.most_common(1)
        notes.append(f"{failed} images failed, {times} of them so: {reason}")
        if unknown:
            notes.append(
                f"failed images do not tell {', '.join(sorted(unknown))}: slices by these have no "
                "rows_in, rows_failed and coverage"
            )
    if without := counts["rows_without_reference"]:
        notes.append(f"{without} images have no reference: only clip_score and coverage count them")
    if counts["rows_evaluated"] and measure(images)["own_order_exact_match"] is None:
        notes.append(why_undefined("own_order_exact_match", counts))
    return notes


def against_notes(
    against: AgainstPushed,
    candidate: CaptionResult,
    pushed: CaptionResult,
    config: CaptionEvaluationConfig,
) -> list[str]:
    """How well the comparison with the pushed version holds."""
    notes, both = [], against.candidate.num_rows
    alone = [result.rows.num_rows - both for result in (candidate, pushed)]
    if any(alone):
        notes.append(
            f"{both} images were compared with the pushed version; {alone[0]} others are captioned "
            f"by this one only, {alone[1]} by the pushed one only, or have another reference"
        )
    stages = sorted(stage for stage, _ in _models(candidate) ^ _models(pushed))
    if stages and "clip_score" in (against.metric, *config.dropping):
        notes.append(
            f"other models made {', '.join(dict.fromkeys(stages))} of the pushed version: CLIP "
            "scores can be compared only where the same CLIP gave them"
        )
    return notes


def _models(result: CaptionResult) -> set[tuple[str, str]]:
    """(stage, content of the model) of a result: a copy elsewhere is no other model."""
    versions = result.rows.column("versions").to_pylist()
    return {(stage, content_of(model)) for row in versions for stage, model in row or ()}
