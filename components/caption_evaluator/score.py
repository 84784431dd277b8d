"""Measures the captions of each image, and of many images together."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.caption_evaluator.config import MEASURED
from components.caption_evaluator.read import CaptionResult

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_TYPES = (
    pa.string(), pa.string(), pa.bool_(), pa.bool_(), pa.bool_(),
    pa.float64(), pa.list_(pa.int64()), pa.float64(), pa.float64(), pa.string(),
)  # fmt: skip
_MEASURES = pa.schema(list(zip(MEASURED, _TYPES, strict=True)))
_KEYS = ("image_uri", "variant", "reference")
_ROUNDING = 0.01
"""How far a cosine of bfloat16 vectors may lie outside of [-1, 1]."""


def normalised(text: str) -> str:
    """A caption as it is compared.

    Case folded (Unicode), each run of white space made one space, white space and periods at the
    end and white space at the start removed. Nothing else: "a red-haired cat" is not "a red haired
    cat".
    """
    return " ".join(text.casefold().split()).rstrip(" .")


def clip_score(similarity: float) -> float:
    """CLIPScore of a caption, in [0, 2.5]: 2.5 * max(cosine, 0).

    Differs from the paper in the text that CLIP reads: the caption as it is, without the prompt "A
    photo depicts" before it. Libraries that give 100 * max(cosine, 0) give 40 times this.

    Source: Hessel, Holtzman, Forbes, Le Bras, Choi 2021, "CLIPScore: A Reference-free Evaluation
      Metric for Image Captioning", equation of CLIP-S, w = 2.5.
    """
    return 2.5 * max(similarity, 0.0)


def score_images(result: CaptionResult) -> pa.Table:
    """Measures every row of a result, dead letters too; sorted by image, variant and reference.

    Columns: image_uri, variant, reference (null where there is none), the slice columns as words,
    and
      caption: the best one; null where the image failed, and then so is all that follows
      own_order_caption: the captioner's own first (place 1)
      exact_match, own_order_exact_match: whether they are the reference, as `normalised` compares
      oracle_exact_match: whether any candidate is
      bleu: sentence BLEU of the best caption, 0 to 100, by sacrebleu with effective order
      bleu_counts: matches of 1- to 4-grams, their totals, lengths of caption and reference: their
        sum over images is what a corpus BLEU is made of
      clip_score, probability: of the best caption
      failure: why there is no caption
    Those that need a reference are null without one. Slice columns, and variant, that dead letters
    do not have are null in their rows.
    """
    told = [c for c in result.rows.column_names if c not in (*_KEYS, "captions", "versions")]
    rows = pa.table({c: result.rows.column(c).cast(pa.string()) for c in (*_KEYS, *told)})
    references = [_reference(text) for text in rows.column("reference").to_pylist()]
    rows = rows.set_column(2, "reference", pa.array(references, pa.string()))
    captions = result.rows.column("captions").to_pylist()
    scores = [score(*pair) for pair in zip(captions, references, strict=True)]
    measures = pa.Table.from_pylist(scores, _MEASURES)
    for name in MEASURED:
        rows = rows.append_column(_MEASURES.field(name), measures.column(name))
    images = pa.concat_tables([rows, _failed(result.dead_letters, rows.schema)])
    return images.sort_by([(column, "ascending") for column in _KEYS])


def score(captions: Sequence[Mapping[str, Any]] | None, reference: str | None) -> dict[str, Any]:
    """The measures of one image, as `score_images` describes them.

    Args:
      captions: text, probability, similarity and place of each candidate.
      reference: what the caption should be; None if nobody knows.
    """
    if failure := _failure(captions):
        return {"failure": failure}
    assert captions
    best = max(captions, key=lambda one: float(one["probability"]))
    own = next((one["text"] for one in captions if one["place"] == 1), None)
    found = {
        "caption": best["text"],
        "own_order_caption": own,
        "clip_score": clip_score(best["similarity"]),
        "probability": best["probability"],
    }
    if reference is None:
        return found
    right = normalised(reference)
    sentence = _bleu().sentence_score(normalised(best["text"]), [right])
    return found | {
        "exact_match": normalised(best["text"]) == right,
        "own_order_exact_match": None if own is None else normalised(own) == right,
        "oracle_exact_match": any(normalised(one["text"]) == right for one in captions),
        "bleu": sentence.score,
        "bleu_counts": [*sentence.counts, *sentence.totals, sentence.sys_len, sentence.ref_len],
    }


def measure(images: pa.Table) -> dict[str, float | None]:
    """The metrics of all images together, by name; None where one is undefined.

    exact_match, own_order_exact_match, oracle_exact_match: shares of the images with a caption and
    a reference. bleu: one corpus BLEU over these. clip_score: mean over the images with a caption.
    coverage: share of the images in that have a caption.
    """
    captioned = images.filter(pc.is_valid(images.column("caption")))
    evaluated = captioned.filter(pc.is_valid(captioned.column("reference")))
    own = evaluated.column("own_order_exact_match")
    return {
        "exact_match": _mean(evaluated.column("exact_match")),
        # Where a first caption is missing, the others would flatter the captioner or slander it.
        "own_order_exact_match": None if own.null_count else _mean(own),
        "oracle_exact_match": _mean(evaluated.column("oracle_exact_match")),
        "bleu": corpus_bleu(evaluated.column("bleu_counts")),
        "clip_score": _mean(captioned.column("clip_score")),
        "coverage": _mean(pc.is_valid(images.column("caption"))),
    }


def count(images: pa.Table) -> dict[str, int]:
    """How many images came in, and what became of them: the last three add up to the first."""
    captioned = images.filter(pc.is_valid(images.column("caption")))
    without = captioned.column("reference").null_count
    return {
        "rows_in": images.num_rows,
        "rows_evaluated": captioned.num_rows - without,
        "rows_without_reference": without,
        "rows_failed": images.num_rows - captioned.num_rows,
    }


def corpus_bleu(counts: pa.ChunkedArray) -> float | None:
    """Corpus BLEU, 0 to 100, from the counts of its sentences.

    None where no caption has four words: there is no 4-gram that could match, and the formula
    would give 0 to captions that are exactly right.

    Source: Papineni et al. 2002; Post 2018, whose sacrebleu computes it (`bleu_signature`).
    """
    return bleu_of(np.array(counts.to_pylist(), np.int64).reshape(-1, 10).sum(axis=0))


def bleu_of(counts: np.ndarray) -> float | None:
    """Corpus BLEU of the sum of its sentences' counts, (10,) integers; see `corpus_bleu`."""
    total = counts.tolist()
    if not total[7]:
        return None
    found = _bleu().compute_bleu(total[:4], total[4:8], total[8], total[9], smooth_method="exp")
    return float(found.score)


def bleu_signature() -> str:
    """How sacrebleu computes corpus BLEU, as papers state it; texts are `normalised` before."""
    from sacrebleu.metrics.bleu import BLEU

    return str(BLEU(references=[["any"]]).get_signature())


@cache
def _bleu() -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)


def _mean(values: pa.ChunkedArray) -> float | None:
    return pc.mean(values.cast(pa.float64())).as_py()  # type: ignore[no-any-return]


def _reference(text: str | None) -> str | None:
    """An empty field of a file is no reference."""
    return text if text is not None and normalised(text) else None


def _failure(captions: Sequence[Mapping[str, Any]] | None) -> str:
    """Why an image counts as failed; empty if it does not."""
    if not captions:
        return "it has no caption"
    for one in captions:
        numbers = (one["probability"], one["similarity"])
        if one["text"] is None or not all(n is not None and math.isfinite(n) for n in numbers):
            return "a caption has no text, or its probability or similarity is no finite number"
        if abs(one["similarity"]) > 1 + _ROUNDING:
            return f"a similarity is {one['similarity']:g}, which is no cosine"
    return ""


def _failed(dead_letters: pa.Table, schema: pa.Schema) -> pa.Table:
    """Dead letters as rows of images."""
    size = dead_letters.num_rows
    columns = {field.name: pa.nulls(size, field.type) for field in schema}
    for name in set(schema.names) & set(dead_letters.column_names):
        columns[name] = dead_letters.column(name).cast(pa.string())
    stage, reason = (dead_letters.column(c).cast(pa.string()) for c in ("stage", "reason"))
    columns["failure"] = pc.binary_join_element_wise(stage, reason, ": ", null_handling="skip")
    return pa.table(columns, schema)
