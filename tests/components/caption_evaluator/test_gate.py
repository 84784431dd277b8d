"""When the ensemble is blessed, and what is said if it is not."""

from pathlib import Path
from typing import Any

import pytest

from components.caption_evaluator.evaluate import CaptionEvaluation
from tests.components.caption_evaluator.results import (
    BLUE,
    GREEN,
    RED,
    dead,
    image,
    ranked,
    write_result,
)
from tests.components.caption_evaluator.test_evaluate import run


def marks(
    folder: Path, name: str, text: str, similarity: float = 0.3, references: bool = True
) -> str:
    """A result with an image a letter: + right, - wrong, . failed; references alternate."""
    rows, letters = [], []
    for i, mark in enumerate(text):
        reference = (RED, GREEN)[i % 2]
        if mark == ".":
            letters.append(dead(f"{i}"))
            continue
        captions = ranked(reference if mark == "+" else BLUE, similarity=similarity + i / 1000)
        rows.append(image(f"{i}", captions, reference if references else None))
    return write_result(folder / name, rows, letters)


def verdict(
    folder: Path, candidate: str, pushed: str | None = None, version: int = 0, **config: Any
) -> CaptionEvaluation:
    return run(folder, candidate, pushed, version, **config)[0]


@pytest.mark.parametrize(
    ("metric", "reached", "missed", "value"),
    [
        ("exact_match", 0.8, 0.81, "0.8"),
        ("own_order_exact_match", 0.8, 0.81, "0.8"),
        ("oracle_exact_match", 0.8, 0.81, "0.8"),
        ("clip_score", 0.76, 0.77, "0.7612"),
        ("bleu", 81, 82, "81.22"),  # (34/40 * 24/30 * 16/20 * 8/10) ** (1/4)
        ("coverage", 0.9, 0.95, "0.9091"),
    ],
)
def test_value_thresholds(
    tmp_path: Path, metric: str, reached: float, missed: float, value: str
) -> None:
    uri = marks(tmp_path, "r", "++++++++--.")
    assert verdict(tmp_path, uri, thresholds={metric: {"min": reached}}).objections == []
    [objection] = verdict(tmp_path, uri, thresholds={metric: {"min": missed}}).objections
    assert objection.startswith(f"{metric} is {value}")
    assert objection.endswith(f"the threshold is {missed:g}")


@pytest.mark.parametrize("metric", ["exact_match", "oracle_exact_match", "bleu"])
def test_a_metric_without_references_does_not_pass_in_silence(tmp_path: Path, metric: str) -> None:
    uri = marks(tmp_path, "r", "++++", references=False)
    thresholds = {metric: {"min": 0.0}, "clip_score": {"min": 0.5}}
    found = verdict(tmp_path, uri, thresholds=thresholds)
    assert found.objections == ["no reference captions (nothing is pushed without)"]
    assert not found.blessed
    without = verdict(tmp_path, uri, thresholds={"clip_score": {"min": 0.5}})
    assert without.blessed


def test_bleu_of_short_captions_does_not_pass_in_silence(tmp_path: Path) -> None:
    uri = write_result(tmp_path / "r", [image("x", ranked("a cat"), "a cat")])
    [objection] = verdict(tmp_path, uri, thresholds={"bleu": {"min": 0}}).objections
    assert objection == "bleu needs at least one caption of four words"


def test_nothing_captioned_is_never_blessed(tmp_path: Path) -> None:
    for name, text in (("failed", "..."), ("one", "."), ("empty", "")):
        found = verdict(tmp_path, marks(tmp_path, name, text), thresholds={"coverage": {"min": 0}})
        images = "1 image" if len(text) == 1 else f"{len(text)} images"
        assert found.objections == [f"{images}, and none has a caption"]


def test_what_was_not_inferred_is_not_blessed(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"images": 0, "skipped": "nothing was pushed"}')
    assert verdict(tmp_path, str(tmp_path)).objections == [
        "nothing was inferred: nothing was pushed"
    ]


def test_without_a_threshold_it_has_to_beat_the_best_constant(tmp_path: Path) -> None:
    assert verdict(tmp_path, marks(tmp_path, "good", "+" * 12)).blessed  # 6 to 0: p = 1/64
    [objection] = verdict(tmp_path, marks(tmp_path, "few", "+" * 6)).objections
    assert "exact_match 1 is not significantly better than the 0.5 of the caption" in objection
    [objection] = verdict(tmp_path, marks(tmp_path, "none", "+" * 9, references=False)).objections
    assert "nothing to judge by" in objection


def test_a_version_that_is_significantly_worse_is_refused(tmp_path: Path) -> None:
    pushed = marks(tmp_path, "pushed", "+" * 20)
    thresholds = {"exact_match": {"min": 0.5}}
    worse = marks(tmp_path, "worse", "+" * 15 + "-" * 5)  # p = 1/32
    [objection] = verdict(tmp_path, worse, pushed, 3, thresholds=thresholds).objections
    assert objection == (
        "exact_match 0.75 is significantly worse than the pushed version's 1 on 20 images (p 0.031)"
    )
    chance = marks(tmp_path, "chance", "+" * 16 + "-" * 4)  # p = 1/16
    assert verdict(tmp_path, chance, pushed, 3, thresholds=thresholds).blessed
    assert not verdict(tmp_path, chance, pushed, 3, thresholds=thresholds, confidence=0.9).blessed


def test_a_like_version_needs_no_new_evidence(tmp_path: Path) -> None:
    uri = marks(tmp_path, "r", "+-+-")
    assert not verdict(tmp_path, uri).blessed
    assert verdict(tmp_path, uri, uri, 1).blessed


def test_max_drop_is_of_the_images_that_both_captioned(tmp_path: Path) -> None:
    pushed = marks(tmp_path, "pushed", "++++++++++----")
    candidate = marks(tmp_path, "candidate", "++++++++--....")
    thresholds = {"exact_match": {"min": 0, "max_drop": 0.15}}
    found = verdict(tmp_path, candidate, pushed, 1, thresholds=thresholds)
    # All in all 0.8 is better than 10/14, but of these ten the pushed one had all.
    assert found.objections == [
        "exact_match is 0.8, worse than the pushed version's 1 by more than 0.15"
    ]
    assert found.overall["pushed"]["exact_match"] == pytest.approx(10 / 14)
    alone = "10 images compared with the pushed version; captioned by this one only, or with"
    assert any(n.startswith(alone) and n.endswith("pushed one only: 4") for n in found.notes)
    thresholds["exact_match"]["max_drop"] = 0.25
    assert verdict(tmp_path, candidate, pushed, 1, thresholds=thresholds).blessed
    thresholds["coverage"] = {"max_drop": 0.2}
    [objection] = verdict(tmp_path, candidate, pushed, 1, thresholds=thresholds).objections
    assert objection.startswith("coverage is 0.7143, worse than the pushed version's 1")


def test_a_drop_of_just_max_drop_is_allowed(tmp_path: Path) -> None:
    pushed, candidate = marks(tmp_path, "p", "++++++++--"), marks(tmp_path, "c", "+++++++---")
    thresholds = {"exact_match": {"max_drop": 0.1}}
    assert verdict(tmp_path, candidate, pushed, 1, thresholds=thresholds).blessed


def test_clip_score_decides_where_there_are_no_references(tmp_path: Path) -> None:
    pushed = marks(tmp_path, "pushed", "+" * 10, similarity=0.3, references=False)
    worse = marks(tmp_path, "worse", "+" * 10, similarity=0.25, references=False)
    [objection] = verdict(tmp_path, worse, pushed, 1).objections
    assert objection.startswith("clip_score 0.6362 is significantly worse")
    assert verdict(tmp_path, pushed, worse, 1).blessed
    thresholds = {"exact_match": {"max_drop": 0.1}}
    found = verdict(tmp_path, pushed, worse, 1, thresholds=thresholds)
    assert found.objections == ["no reference captions (nothing is pushed without)"]
    thresholds["bleu"] = {"min": 50, "max_drop": 1}
    again = verdict(tmp_path, pushed, worse, 1, thresholds=thresholds)
    assert again.objections == found.objections, "said once"


def test_no_image_in_common_is_no_comparison(tmp_path: Path) -> None:
    candidate, pushed = marks(tmp_path, "a", "++"), marks(tmp_path, "b", "++", references=False)
    [objection] = verdict(
        tmp_path, candidate, pushed, 1, thresholds={"coverage": {"min": 0}}
    ).objections
    assert "there is nothing to compare" in objection


def test_before_the_first_push_max_drop_is_not_asked_for_and_that_is_noted(tmp_path: Path) -> None:
    uri = marks(tmp_path, "r", "+-" * 3)
    thresholds = {"exact_match": {"min": 0.5, "max_drop": 0.01}}
    skipped = tmp_path / "skipped"
    skipped.mkdir()
    (skipped / "summary.json").write_text('{"images": 0, "skipped": "nothing was pushed yet"}')
    for baseline in (None, str(skipped)):
        found = verdict(tmp_path, uri, baseline, thresholds=thresholds)
        assert found.blessed
        assert "no version is pushed, so max_drop of exact_match was not asked for" in found.notes


def test_a_pushed_version_that_nobody_asked_is_no_comparison(tmp_path: Path) -> None:
    uri = marks(tmp_path, "r", "+-" * 3)
    thresholds = {"exact_match": {"min": 0.5, "max_drop": 0.01}}
    [objection] = verdict(tmp_path, uri, None, 4, thresholds=thresholds).objections
    assert "cannot be compared with the pushed version 4: there is no baseline_result" in objection
    plain = verdict(tmp_path, uri, None, 4, thresholds={"exact_match": {"min": 0.5}})
    assert plain.blessed
    assert "it was not compared with the pushed version 4" in plain.notes


def test_clip_scores_of_other_models_are_warned_of(tmp_path: Path) -> None:
    versions = [("caption", "blip 1"), ("rank", "clip 2")]
    pushed = write_result(tmp_path / "pushed", [image("0", ranked(RED), RED, versions=versions)])
    candidate = marks(tmp_path, "candidate", "+")
    thresholds = {"clip_score": {"min": 0.1, "max_drop": 0.1}}
    found = verdict(tmp_path, candidate, pushed, 1, thresholds=thresholds)
    assert "other models made rank of" in "".join(found.notes)
    quiet = verdict(tmp_path, candidate, pushed, 1, thresholds={"exact_match": {"min": 0.1}})
    same = verdict(tmp_path, candidate, candidate, 1, thresholds=thresholds)
    assert "other models" not in "".join(quiet.notes + same.notes)


def test_copies_of_one_model_are_no_other_models(tmp_path: Path) -> None:
    results = [
        write_result(
            tmp_path / place,
            [image("0", ranked(RED), RED, versions=[("rank", f"{place}/clip@{digits}")])],
        )
        for place, digits in (("here", "3f2a90c1d5e7"), ("there", "3f2a90c1d5e7"), ("x", "0" * 12))
    ]
    thresholds = {"clip_score": {"min": 0.1, "max_drop": 0.1}}
    notes = [
        "".join(verdict(tmp_path, results[0], pushed, 1, thresholds=thresholds).notes)
        for pushed in results[1:]
    ]
    assert ["other models made rank of" in note for note in notes] == [False, True]


def test_that_there_are_no_references_is_said_once(tmp_path: Path) -> None:
    uri = marks(tmp_path, "r", "++", references=False)
    thresholds = {"exact_match": {"min": 0.5, "max_drop": 0.1}, "bleu": {"min": 50}}
    found = verdict(tmp_path, uri, thresholds=thresholds, slices=["colours"])
    assert found.objections == ["no reference captions (nothing is pushed without)"]
    assert found.notes == []
    blessed = verdict(tmp_path, uri, thresholds={"clip_score": {"min": 0.1}}, slices=["colours"])
    assert blessed.notes == ["not sliced by colours: no image has a reference or these"]


def test_few_images_are_noted(tmp_path: Path) -> None:
    thresholds = {"exact_match": {"min": 0.5}}
    few = "29 images with a reference: fewer than 30 tell little, see the intervals"
    for uri, noted in (
        (marks(tmp_path, "few", "+" * 29), [f"only {few}"]),
        (marks(tmp_path, "enough", "+" * 30), []),
        (marks(tmp_path, "without", "+", references=False), []),
    ):
        assert verdict(tmp_path, uri, thresholds=thresholds).notes == noted
