"""Which of several candidates is the best, and what they are compared with."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.gate import Overall
from components.entity_evaluator.metrics import Classified
from components.errors import BeamfleetError
from components.evaluator.candidates import Judged, best, candidate_table, why_none
from components.evaluator.current import NOTHING, CurrentModel, opened
from components.saved_model.store import SavedModel
from tests.components.evaluator.test_evaluate import ROWS, contest, examples, model

RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(0, 2, 200)


def judged(name: str, errors: int, sure: float = 0.9, **thresholds: dict[str, float]) -> Judged:
    """A candidate that is wrong on the first rows, with the same probability everywhere."""
    predicted = np.where(np.arange(200) < errors, 1 - LABEL, LABEL)
    score = np.where(predicted == 1, sure, 1 - sure)
    truth = np.where(LABEL == 1, score, 1 - score)
    outcomes = Classified(LABEL, predicted, truth, score, 2, 1)
    metrics = ("accuracy", "log_loss", "calibration", "calibration_error", *thresholds)
    overall = Overall(outcomes, None, None, "accuracy", tuple(dict.fromkeys(metrics)), "")
    config = EvaluationConfig.from_dict({"thresholds": thresholds})
    return Judged.of(name, f"/{name}", overall, config)


def test_the_best_of_those_that_pass_is_chosen() -> None:
    limits = {"log_loss": {"max": 0.6}}
    worse, good = judged("worse", 30, **limits), judged("good", 20, **limits)
    unsure = judged("unsure", 10, sure=0.51, **limits)
    assert [bool(one.objections) for one in (worse, good, unsure)] == [False, False, True]
    assert best([unsure, worse, good], "accuracy") is good
    assert best([unsure, worse], "accuracy") is worse
    assert why_none([unsure, worse]) == []


def test_the_direction_of_the_metric_is_known() -> None:
    sure, unsure = judged("sure", 10, sure=0.9), judged("unsure", 10, sure=0.6)
    assert best([unsure, sure], "log_loss") is sure
    assert best([unsure, sure], "calibration_error") is sure
    # 1.03 is nearer to one than 0.94, and 0.97 than either.
    measured = {one.name: one.overall.values()["composed"]["calibration"] for one in (sure, unsure)}
    nearest = min(measured, key=lambda name: abs(1 - measured[name]))
    assert best([sure, unsure], "calibration").name == nearest


def test_of_equal_ones_it_is_the_first_by_name() -> None:
    one, two, three = (judged(name, 10) for name in ("b", "c", "a"))
    for order in ([one, two, three], [three, two, one], [two, one, three]):
        assert best(order, "accuracy").name == "a"


def test_none_passes_and_each_says_why() -> None:
    limits = {"accuracy": {"min": 0.99}}
    few, many = judged("few", 10, **limits), judged("many", 40, **limits)
    assert best([many, few], "accuracy") is few
    assert why_none([many, few]) == [
        "many: accuracy is 0.8, the threshold is 0.99",
        "few: accuracy is 0.95, the threshold is 0.99",
    ]
    assert why_none([few]) == ["accuracy is 0.95, the threshold is 0.99"]
    rows = candidate_table([many, few], few, EvaluationConfig()).to_pylist()
    assert [(r["name"], r["role"], r["chosen"], r["passes"]) for r in rows] == [
        ("few", "candidate", True, False),
        ("many", "candidate", False, False),
        ("constant", "constant", None, None),
    ]
    assert rows[0]["accuracy_low"] < rows[0]["accuracy"] == 0.95 < rows[0]["accuracy_high"]
    assert rows[0]["calibration_error_low"] is None


def test_calibration_is_bound_on_both_sides() -> None:
    both = {"min": 0.9, "max": 1.1}
    assert judged("good", 0, sure=1.0, calibration=both).objections == []
    # Always positive with 0.9: about twice as many as there are.
    outcomes = Classified(LABEL, np.ones(200, int), np.where(LABEL, 0.9, 0.1), np.full(200, 0.9),
                          2, 1)  # fmt: skip
    overall = Overall(outcomes, None, None, "accuracy", ("calibration",), "")
    [high] = Judged.of(
        "high", "", overall, EvaluationConfig.from_dict({"thresholds": {"calibration": both}})
    ).objections
    assert "calibration is 1." in high and "the threshold is 1.1" in high


def test_candidates_predict_the_same_rows_and_the_latest_blessed_model_too(tmp_path: Path) -> None:
    uris = {"bad": model(tmp_path / "bad", -5.0), "good": model(tmp_path / "good", 5.0)}
    current = CurrentModel("blessed", model(tmp_path / "current", 4.0))
    found = contest(
        tmp_path,
        examples(tmp_path),
        uris,
        current,
        thresholds={"accuracy": {"min": 0.5, "max_drop": 0.1}},
        slices=[["company"]],
    )
    assert (found.chosen, found.result.blessed, found.result.unchanged) == ("good", True, False)
    assert found.result.compared_with.startswith(f"the latest blessed model, {current.uri}")
    assert set(found.result.overall) == {"candidate", "blessed", "majority"}
    rows = {
        row["name"]: row
        for row in pq.read_table(tmp_path / "evaluation" / "candidates.parquet").to_pylist()
    }
    assert list(rows) == ["bad", "good", "blessed", "constant"]
    assert "worse than the latest blessed model's 0.9 by more than 0.1" in rows["bad"]["reason"]
    assert {row["rows"] for row in rows.values()} == {ROWS}
    slices = pq.read_table(tmp_path / "evaluation" / "slices.parquet").to_pylist()
    assert slices[0]["accuracy_low"] < slices[0]["accuracy"] == rows["good"]["accuracy"]
    assert slices[0]["blessed_accuracy"] == pytest.approx(0.9)
    assert not (tmp_path / "evaluation" / "predictions").exists()


def test_a_current_model_that_cannot_be_compared_with_is_said(tmp_path: Path) -> None:
    spec = SavedModel(model(tmp_path / "m", 5.0)).spec
    assert opened(None, spec) == (None, NOTHING)
    other = model(tmp_path / "other", 5.0, label="paid")
    found, words = opened(CurrentModel("blessed", other), spec)
    assert found is None and "label was 'paid', is 'tipped'" in words
    with pytest.raises(BeamfleetError, match="push to a new directory"):
        opened(CurrentModel("pushed", other, 3), spec)
    with pytest.raises(BeamfleetError, match="the latest blessed model, is gone"):
        opened(CurrentModel("blessed", str(tmp_path / "gone")), spec)


def test_candidates_of_two_tasks_are_refused(tmp_path: Path) -> None:
    uris = {"a": model(tmp_path / "a", 5.0), "b": model(tmp_path / "b", 5.0, label="paid")}
    with pytest.raises(BeamfleetError, match=r"cannot be compared with the candidate .*label was"):
        contest(tmp_path, examples(tmp_path), uris)
