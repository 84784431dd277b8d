"""Measures of one image and of many, against values worked out by hand and against sacrebleu."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.caption_evaluator.score import (
    bleu_signature,
    clip_score,
    corpus_bleu,
    measure,
    normalised,
    score,
)
from tests.components.caption_evaluator.results import BLUE, RED, ranked


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("A small Red  circle.", True),
        ("\ta small red\ncircle . ", True),
        ("a small red circle...", True),
        ("a small red circle!", False),
        ("a small red-circle", False),
        (". a small red circle", False),
        ("red circle", False),
    ],
)
def test_captions_are_compared_by_words(text: str, same: bool) -> None:
    assert (normalised(text) == normalised(RED)) is same


@settings(deadline=None)
@given(st.text())
def test_normalised_is_stable_and_blind_to_case_white_space_and_final_periods(text: str) -> None:
    plain = normalised(text)
    assert normalised(plain) == plain
    assert normalised(f"  {text}\n. ") == plain
    assert "  " not in plain
    assert plain == plain.strip()


def test_clip_score_is_hessels() -> None:
    assert [clip_score(c) for c in (-0.4, 0.0, 0.24, 1.0)] == pytest.approx([0, 0, 0.6, 2.5])


def test_the_best_caption_the_captioners_own_and_the_oracle_are_told_apart() -> None:
    found = score(ranked(BLUE, RED, "a cat", own=1, similarity=0.2), "A small red circle.")
    assert found["caption"] == BLUE
    assert found["own_order_caption"] == RED
    assert found["exact_match"] is False
    assert found["own_order_exact_match"] is True
    assert found["oracle_exact_match"] is True
    assert found["clip_score"] == pytest.approx(0.5)
    assert found["probability"] == 0.5
    nowhere = score(ranked(BLUE, "a cat"), RED)
    assert nowhere["oracle_exact_match"] is False


def test_the_best_caption_is_the_likeliest_wherever_it_stands() -> None:
    assert score(ranked(RED, BLUE)[::-1], RED)["exact_match"] is True


def test_without_a_reference_there_is_no_match_to_speak_of() -> None:
    found = score(ranked(RED), None)
    assert found.get("exact_match") is None
    assert found.get("bleu") is None
    assert found["clip_score"] == pytest.approx(0.75)


def test_sentence_bleu_by_hand() -> None:
    # 3 of 4 words, 2 of 3 pairs, 1 of 2 triples, and no quadruple: smoothed to 1 / 2.
    found = score(ranked("a small red circle"), "a small red square")
    expected = 100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25
    assert found["bleu"] == pytest.approx(expected)
    assert found["bleu_counts"] == [3, 2, 1, 0, 4, 3, 2, 1, 4, 4]


SPOILT: dict[str, Any] = {
    "text": None,
    "probability": math.nan,
    "similarity": math.inf,
}


@pytest.mark.parametrize("field", SPOILT)
@pytest.mark.parametrize("place", [0, 1])
def test_a_caption_with_a_broken_number_fails_the_image(field: str, place: int) -> None:
    captions = ranked(RED, BLUE)
    captions[place][field] = SPOILT[field]
    assert set(score(captions, RED)) == {"failure"}


def test_a_similarity_that_is_a_logit_fails_the_image() -> None:
    assert "25.3, which is no cosine" in score(ranked(RED, similarity=25.3), RED)["failure"]
    assert "failure" not in score(ranked(RED, similarity=1.003), RED), "rounding of bfloat16"


@pytest.mark.parametrize("captions", [None, []])
def test_an_image_without_captions_fails(captions: list[Any] | None) -> None:
    assert score(captions, RED) == {"failure": "it has no caption"}


WORDS = st.lists(
    st.sampled_from(["a", "small", "large", "red", "blue", "circle", "square", "above"]), max_size=9
)
PAIRS = st.lists(st.tuples(WORDS.map(" ".join), WORDS.map(" ".join)), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_corpus_bleu_from_the_counts_is_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    import sacrebleu

    texts, references = zip(*pairs, strict=True)
    counts = [score(ranked(text), reference)["bleu_counts"] for text, reference in pairs]
    whole = sacrebleu.corpus_bleu(list(texts), [list(references)])
    expected = pytest.approx(whole.score) if whole.totals[3] else None
    found = corpus_bleu(pa.chunked_array([pa.array(counts, pa.list_(pa.int64()))]))
    assert found == expected


def test_bleu_of_captions_below_four_words_is_undefined_instead_of_zero() -> None:
    counts = score(ranked("a cat"), "a cat")["bleu_counts"]
    assert corpus_bleu(pa.chunked_array([pa.array([counts])])) is None


def test_the_signature_is_that_of_what_is_computed() -> None:
    import sacrebleu

    metric = sacrebleu.BLEU()
    metric.corpus_score([RED], [[BLUE]])
    assert bleu_signature() == str(metric.get_signature())


def images(rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema(
        [
            ("caption", pa.string()),
            ("reference", pa.string()),
            *((name, pa.bool_()) for name in (
                "exact_match", "own_order_exact_match", "oracle_exact_match")),
            ("clip_score", pa.float64()),
            ("bleu_counts", pa.list_(pa.int64())),
        ]
    )  # fmt: skip
    return pa.Table.from_pylist(rows, schema)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.floats(0, 2.5))))
def test_means_count_the_images_that_they_are_of(
    rows: list[tuple[bool, bool, bool, float]],
) -> None:
    made = []
    for captioned, referenced, right, clip in rows:
        scored = {"exact_match": right, "own_order_exact_match": right, "oracle_exact_match": right}
        made.append(
            {"reference": RED if referenced else None}
            | ({"caption": RED, "clip_score": clip} if captioned else {})
            | ({**scored, "bleu_counts": [1] * 10} if captioned and referenced else {})
        )
    found = measure(images(made))
    right = [r for c, has, r, _ in rows if c and has]
    clip = [x for c, _, _, x in rows if c]
    assert found["exact_match"] == (pytest.approx(np.mean(right)) if right else None)
    assert found["clip_score"] == (pytest.approx(np.mean(clip)) if clip else None)
    assert found["coverage"] == (pytest.approx(len(clip) / len(rows)) if rows else None)
    assert (found["bleu"] is None) == (not right)


def test_own_order_is_undefined_once_one_image_does_not_tell_it() -> None:
    row = {"caption": RED, "reference": RED, "exact_match": True, "oracle_exact_match": True}
    row |= {"clip_score": 1.0, "bleu_counts": [1] * 10}
    found = measure(images([{**row, "own_order_exact_match": True}, row]))
    assert found["own_order_exact_match"] is None
    assert found["exact_match"] == 1
