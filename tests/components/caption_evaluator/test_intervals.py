"""Intervals of all metrics, against scipy and against what they are for."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from components.caption_evaluator.config import METRICS
from components.caption_evaluator.intervals import intervals
from components.caption_evaluator.read import read_result
from components.caption_evaluator.score import corpus_bleu, measure, score_images
from tests.components.caption_evaluator.results import BLUE, RED, dead, image, ranked, write_result


def scored(folder: Path, right: int, wrong: int, failed: int = 0) -> pa.Table:
    """Similarities differ; BLIP's own first caption is always wrong."""
    rows = [
        image(f"{i}", ranked(*pair, own=i < right, similarity=0.2 + i / 100), RED)
        for i, pair in enumerate([(RED, BLUE)] * right + [(BLUE, RED)] * wrong)
    ]
    letters = [dead(f"d{i}") for i in range(failed)]
    return score_images(read_result(write_result(folder / "r", rows, letters), ()))


def test_shares_have_wilsons_interval(tmp_path: Path) -> None:
    found = intervals(scored(tmp_path, 15, 5, failed=4), 0.9)
    shares = {"exact_match": (15, 20), "own_order_exact_match": (0, 20),
              "oracle_exact_match": (20, 20), "coverage": (20, 24)}  # fmt: skip
    for metric, (right, rows) in shares.items():
        expected = stats.binomtest(right, rows).proportion_ci(0.9, method="wilson")
        assert found[metric] == pytest.approx((expected.low, expected.high)), metric


def test_the_mean_of_scores_has_students_interval_within_its_scale(tmp_path: Path) -> None:
    images = scored(tmp_path, 15, 5)
    scores = images.column("clip_score").to_numpy()
    expected = stats.t.interval(0.95, 19, scores.mean(), stats.sem(scores))
    assert intervals(images, 0.95)["clip_score"] == pytest.approx(expected)
    spread = pa.array([2.5, 2.5, 0.1])
    place = images.column_names.index("clip_score")
    narrow = images.slice(0, 3).set_column(place, "clip_score", spread)
    assert intervals(narrow, 0.95)["clip_score"] == (0.0, 2.5)


def test_the_bootstrap_of_bleu_is_repeatable_and_widens_with_confidence(tmp_path: Path) -> None:
    images = scored(tmp_path, 30, 10)
    value, (low, high) = measure(images)["bleu"], intervals(images, 0.95)["bleu"]
    assert 0 < low < value < high < 100
    assert intervals(images, 0.95)["bleu"] == (low, high)
    assert intervals(images, 0.5)["bleu"][0] > low
    # 3 of 4 are right: what such images give, of which another 40 are drawn each time.
    counts = np.array(images.column("bleu_counts").to_pylist())
    random = np.random.default_rng(9)
    again = [corpus_bleu(pa.chunked_array([counts[random.integers(0, 40, 40)].tolist()]))
             for _ in range(400)]  # fmt: skip
    assert (low, high) == pytest.approx(np.quantile(again, [0.025, 0.975]), abs=3)


def test_many_images_have_the_interval_of_their_number(tmp_path: Path) -> None:
    images = scored(tmp_path, 30, 10)
    few, many = (intervals(pa.concat_tables([images] * n), 0.95)["bleu"] for n in (25, 100))
    assert (many[1] - many[0]) / (few[1] - few[0]) == pytest.approx(0.5, rel=0.15)


def test_where_there_is_nothing_to_compare_there_is_no_interval(tmp_path: Path) -> None:
    one = intervals(scored(tmp_path / "one", 1, 0), 0.95)
    assert {metric for metric in METRICS if one[metric] is None} == {"bleu", "clip_score"}
    none = intervals(scored(tmp_path / "none", 0, 0, failed=2), 0.95)
    assert {metric for metric in METRICS if none[metric]} == {"coverage"}
