"""What a reader of an evaluation should know beside the verdict."""

from collections import Counter

import pyarrow as pa

from components.caption_evaluator.config import CaptionEvaluationConfig
from components.caption_evaluator.gate import AgainstPushed, why_undefined
from components.caption_evaluator.read import CaptionResult
from components.caption_evaluator.score import count, measure
from components.ensemble.declaration import content_of
from components.words import counted

FEW_IMAGES = 30
"""With fewer images, a note says that they tell little."""


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
        so = "" if times == failed else f", {times} of them so"
        notes.append(f"{counted(failed, 'image')} failed{so}: {reason}")
        if unknown:
            notes.append(
                f"failed images do not tell {', '.join(sorted(unknown))}: slices by these have no "
                "rows_in, rows_failed and coverage"
            )
    if 0 < counts["rows_evaluated"] < FEW_IMAGES:
        few = counted(counts["rows_evaluated"], "image")
        notes.append(
            f"only {few} with a reference: fewer than {FEW_IMAGES} tell little, see the intervals"
        )
    if counts["rows_evaluated"] and (without := counts["rows_without_reference"]):
        images_without = f"{counted(without, 'image')} without a reference"
        notes.append(f"only clip_score and coverage count {images_without}")
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
            f"{counted(both, 'image')} compared with the pushed version; captioned by this one "
            f"only, or with another reference: {alone[0]}; by the pushed one only: {alone[1]}"
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
