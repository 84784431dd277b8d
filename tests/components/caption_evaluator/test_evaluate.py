"""The evaluation of small results whose outcome is worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.caption_evaluator.config import CaptionEvaluationConfig
from components.caption_evaluator.evaluate import (
    CaptionEvaluation,
    CaptionEvaluationTask,
    evaluate,
)
from components.errors import BeamfleetError
from tests.components.caption_evaluator.results import (
    BLUE,
    GREEN,
    RED,
    dead,
    image,
    ranked,
    write_result,
)

REACHED = {"coverage": {"min": 0.0}}
"""A threshold that everything reaches."""


def run(
    folder: Path, uri: str, baseline: str | None = None, version: int = 0, **config: Any
) -> tuple[CaptionEvaluation, dict[str, Any], dict[str, dict[str, Any]]]:
    """The evaluation, metrics.json, and slices.parquet by slice."""
    target = folder / "evaluation"
    task = CaptionEvaluationTask(uri, str(target), baseline, version)
    evaluation = evaluate(task, CaptionEvaluationConfig.from_dict(config))
    slices = pq.read_table(target / "slices.parquet").to_pylist()
    metrics = json.loads((target / "metrics.json").read_text(encoding="utf-8"))
    return evaluation, metrics, {row["slice"]: row for row in slices}


def mixed(folder: Path) -> str:
    """Six images in: three right of four with a reference, one without, one failed."""
    return write_result(
        folder / "mixed",
        [
            image("1.png", ranked(f" {RED.upper()}.", BLUE, own=1), RED, objects=1, colours="red"),
            image("2.png", ranked(RED, BLUE), RED, objects=1, colours="red"),
            image("3.png", ranked(BLUE, RED, own=1), BLUE, objects=2, colours="red+blue"),
            image("4.png", ranked(GREEN, BLUE), "a cat", objects=2, colours="red"),
            image("5.png", ranked(RED, similarity=-0.1), " ", objects=None, colours=None),
        ],
        [dead("6.png")],
        parts=2,
    )


def test_overall_metrics_and_counts(tmp_path: Path) -> None:
    evaluation, metrics, _ = run(tmp_path, mixed(tmp_path), thresholds=REACHED)
    assert evaluation.counts == {
        "rows_in": 6, "rows_evaluated": 4, "rows_without_reference": 1, "rows_failed": 1,
    }  # fmt: skip
    values = evaluation.overall["candidate"]
    assert values["exact_match"] == 0.75
    assert values["own_order_exact_match"] == 0.25
    assert values["oracle_exact_match"] == 0.75
    assert values["clip_score"] == pytest.approx((4 * 0.75 + 0) / 5)
    assert values["coverage"] == pytest.approx(5 / 6)
    assert values["bleu"] is not None
    low, high = metrics["intervals"]["exact_match"]
    expected = stats.binomtest(3, 4).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert metrics["overall"] == evaluation.overall
    assert "|tok:13a|" in metrics["bleu_signature"]
    assert evaluation.notes[0] == "1 image failed: read: is not an image"
    assert "only clip_score and coverage count 1 image without a reference" in evaluation.notes
    assert evaluation.blessed


def test_ranking_against_the_captioners_own_order(tmp_path: Path) -> None:
    evaluation, metrics, _ = run(tmp_path, mixed(tmp_path), thresholds=REACHED)
    found = metrics["ranking"]
    assert (found["first"], found["second"], found["value"]) == (0.75, 0.25, 0.5)
    assert found["p_value"] == 0.5  # 2 images to 0: 2 * 1/4
    assert found["low"] < 0 < found["high"]
    assert evaluation.ranking is not None
    assert evaluation.ranking.first_rows == 4


def test_one_corpus_bleu_overall_and_per_slice(tmp_path: Path) -> None:
    import sacrebleu

    evaluation, _, slices = run(tmp_path, mixed(tmp_path), slices=["objects"], thresholds=REACHED)
    texts, references = [RED, RED, BLUE, GREEN], [RED, RED, BLUE, "a cat"]
    overall = sacrebleu.corpus_bleu(texts, [references]).score
    assert evaluation.overall["candidate"]["bleu"] == pytest.approx(overall)
    assert slices["overall"]["bleu"] == pytest.approx(overall)
    two = sacrebleu.corpus_bleu(texts[2:], [references[2:]]).score
    assert slices["objects=2"]["bleu"] == pytest.approx(two)


def test_slices_are_crossed_and_values_taken_as_they_are(tmp_path: Path) -> None:
    slicings = [["objects"], ["colours"], ["objects", "colours"]]
    _, _, slices = run(tmp_path, mixed(tmp_path), slices=slicings, thresholds=REACHED)
    assert list(slices) == [
        "overall", "objects=null", "objects=1", "objects=2", "colours=null", "colours=red",
        "colours=red+blue", "objects=null, colours=null", "objects=1, colours=red",
        "objects=2, colours=red", "objects=2, colours=red+blue",
    ]  # fmt: skip
    red = slices["colours=red"]
    assert (red["rows_evaluated"], red["exact_match"]) == (3, pytest.approx(2 / 3))
    assert (red["columns"], red["values"]) == (["colours"], ["red"])
    crossed = slices["objects=2, colours=red"]
    assert (crossed["rows_evaluated"], crossed["exact_match"]) == (1, 0)
    nothing = slices["colours=null"]
    assert nothing["exact_match"] is None
    assert nothing["exact_match_low"] is None
    assert nothing["clip_score"] == 0
    assert nothing["rows_without_reference"] == 1


def test_what_failed_images_do_not_tell_is_null_in_slices(tmp_path: Path) -> None:
    evaluation, _, slices = run(tmp_path, mixed(tmp_path), slices=["colours"], thresholds=REACHED)
    for name in ("rows_in", "rows_failed", "coverage"):
        assert slices["colours=red"][name] is None
    assert slices["overall"]["rows_failed"] == 1
    assert any("failed images do not tell colours" in note for note in evaluation.notes)


def test_failed_images_make_no_slice_of_their_own(tmp_path: Path) -> None:
    uri = write_result(tmp_path / "r", [image("x", ranked(RED), RED, colours="red")], [dead("y")])
    _, _, slices = run(tmp_path, uri, slices=["colours"], thresholds=REACHED)
    assert list(slices) == ["overall", "colours=red"]


def test_failed_images_count_in_their_slice_where_they_tell_it(tmp_path: Path) -> None:
    rows = [image(f"{i}", ranked(RED), RED, colours="red") for i in range(3)]
    rows.append(image("empty", [], RED, colours="red"))
    uri = write_result(tmp_path / "r", rows, [dead("x", colours="red"), dead("y", colours="blue")])
    _, _, slices = run(tmp_path, uri, slices=["colours"], thresholds=REACHED)
    red, blue = slices["colours=red"], slices["colours=blue"]
    assert (red["rows_in"], red["rows_failed"], red["coverage"]) == (5, 2, pytest.approx(0.6))
    assert (blue["rows_in"], blue["coverage"], blue["exact_match"]) == (1, 0, None)


def test_every_image_is_in_the_file_of_images(tmp_path: Path) -> None:
    run(tmp_path, mixed(tmp_path), slices=["colours"])
    rows = pq.read_table(tmp_path / "evaluation" / "images.parquet").to_pylist()
    assert [row["image_uri"] for row in rows] == [f"{i}.png" for i in range(1, 7)]
    first, last = rows[0], rows[-1]
    assert (first["caption"], first["own_order_caption"]) == (f" {RED.upper()}.", BLUE)
    assert (first["exact_match"], first["own_order_exact_match"]) == (True, False)
    assert (first["probability"], first["colours"]) == (0.5, "red")
    assert (last["caption"], last["failure"]) == (None, "read: is not an image")
    assert rows[4]["reference"] is None, "an empty field is no reference"


def test_a_lost_first_caption_leaves_the_ranking_undefined(tmp_path: Path) -> None:
    rows = [image("x", ranked(RED), RED), image("y", ranked(RED, BLUE, own=1)[:1], RED)]
    uri = write_result(tmp_path / "r", rows)
    threshold = {"own_order_exact_match": {"min": 0.1}}
    evaluation, metrics, _ = run(tmp_path, uri, thresholds=threshold)
    assert metrics["ranking"] is None
    assert evaluation.overall["candidate"]["exact_match"] == 1
    assert "place 1" in evaluation.objections[0]


COUNTS = st.lists(
    st.tuples(st.sampled_from(["right", "wrong", "no reference", "no caption", "dead"]),
              st.sampled_from(["red", "blue", None])),
    max_size=12,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(COUNTS)
def test_slices_and_counts_always_add_up(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[str, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("r")
    rows = [
        image(
            "same.png",
            None if kind == "no caption" else ranked(RED if kind == "right" else BLUE),
            None if kind == "no reference" else RED,
            colours=colour,
        )
        for kind, colour in kinds
        if kind != "dead"
    ]
    letters = [dead("d", colours=colour) for kind, colour in kinds if kind == "dead"]
    uri = write_result(folder / "r", rows, letters)
    evaluation, _, slices = run(folder, uri, slices=["colours"])
    counts = evaluation.counts
    names = [kind for kind, _ in kinds]
    assert counts["rows_in"] == len(kinds)
    assert counts["rows_evaluated"] == names.count("right") + names.count("wrong")
    assert counts["rows_without_reference"] == names.count("no reference")
    assert counts["rows_failed"] == names.count("no caption") + names.count("dead")
    overall = slices.pop("overall")
    for name, number in counts.items():
        assert overall[name] == number
        if "colours" in pq.read_schema(folder / "evaluation" / "images.parquet").names:
            assert sum(row[name] for row in slices.values()) == number
    right, evaluated = names.count("right"), counts["rows_evaluated"]
    assert overall["exact_match"] == (pytest.approx(right / evaluated) if evaluated else None)
    if evaluated:
        assert overall["exact_match_low"] <= overall["exact_match"] <= overall["exact_match_high"]
    assert evaluation.blessed <= bool(evaluated)


def split_test(folder: Path, champion: str, challenger: str) -> str:
    """100 images: 40 of the champion, 60 of the challenger; letters say which are right."""
    rows = [
        image(f"{i}", ranked(RED if right == "+" else BLUE), RED, variant=variant)
        for variant, marks, start in (("champion", champion, 0), ("challenger", challenger, 40))
        for i, right in enumerate(marks, start)
    ]
    return write_result(folder / "split", rows)


def test_variants_of_a_split_are_compared_unpaired(tmp_path: Path) -> None:
    uri = split_test(tmp_path, "+" * 20 + "-" * 20, "+" * 45 + "-" * 15)
    evaluation, metrics, slices = run(tmp_path, uri)
    assert slices["variant=champion"]["exact_match"] == 0.5
    assert slices["variant=challenger"]["exact_match"] == 0.75
    [found] = metrics["variants"]
    assert (found["variant"], found["against"]) == ("challenger", "champion")
    assert (found["value"], found["test"]) == (0.25, "Fisher's exact")
    assert found["p_value"] == pytest.approx(stats.fisher_exact([[45, 15], [20, 20]]).pvalue)
    assert 0 < found["low"] < 0.25 < found["high"]
    assert "2 variants were judged together" in evaluation.notes


def test_a_shadow_is_compared_paired(tmp_path: Path) -> None:
    rows = [
        image(f"{i}", ranked(RED if i < right else BLUE), RED, variant=variant)
        for variant, right in (("champion", 10), ("next", 16))
        for i in range(20)
    ]
    _, metrics, _ = run(tmp_path, write_result(tmp_path / "r", rows))
    [found] = metrics["variants"]
    assert (found["value"], found["test"]) == (pytest.approx(0.3), "exact McNemar")
    assert found["p_value"] == pytest.approx(2 * 0.5**6)


def test_columns_of_the_source_are_slices_unless_others_are_named(tmp_path: Path) -> None:
    rows = [
        image(f"{i}.png", ranked(RED), RED, objects=i % 2, room="hall", title=f"no {i}", sha256="a")
        for i in range(51)
    ]
    uri = write_result(tmp_path / "r", rows)
    evaluation, _, slices = run(tmp_path, uri)
    assert list(slices) == ["overall", "objects=0", "objects=1", "room=hall"]
    assert "not sliced by title: more than 50 values" in evaluation.notes
    assert list(run(tmp_path, uri, slices=[["room"]])[2]) == ["overall", "room=hall"]


def test_references_without_other_columns_are_enough(tmp_path: Path) -> None:
    uri = write_result(tmp_path / "r", [image("1.png", ranked(RED), RED)])
    assert list(run(tmp_path, uri)[2]) == ["overall"]


def test_one_ensemble_has_no_variants(tmp_path: Path) -> None:
    _, metrics, slices = run(tmp_path, mixed(tmp_path), slices=[])
    assert metrics["variants"] == []
    assert list(slices) == ["overall"]


def test_variants_are_not_compared_with_the_pushed_version(tmp_path: Path) -> None:
    uri = split_test(tmp_path, "+-", "++")
    pushed = mixed(tmp_path)
    for candidate, baseline in ((uri, pushed), (pushed, uri)):
        with pytest.raises(BeamfleetError, match=r"split holds variants of an A/B test"):
            run(tmp_path, candidate, baseline)
