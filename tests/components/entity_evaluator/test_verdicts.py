from typing import Any

import numpy as np
import pytest

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.contest import HELD, NEW, NONE, REFRESH, Contest
from components.entity_evaluator.metrics import Classified, Groups, Regressed
from components.entity_evaluator.verdicts import Verdicts, decide

SITUATIONS = {"none": NONE, "new": NEW, "refresh": REFRESH, "held": HELD}


def answers(wrong: np.ndarray) -> Classified:
    label = np.zeros(len(wrong), dtype=np.int64)
    truth = np.where(wrong, 0.2, 0.8)
    return Classified(label, wrong.astype(np.int64), truth, 1 - truth, 2, 1)


def rows_with(wrong: int, rows: int) -> np.ndarray:
    """The last rows are wrong, so that the wrong rows of the better model are a subset."""
    return np.arange(rows) >= rows - wrong


def judge(*entities: dict[str, Any], **config: Any) -> Verdicts:
    """Each entity: situation, rows, and wrong rows of own, pushed and fallback."""
    sizes = [one["rows"] for one in entities]
    columns = {
        name: answers(
            np.concatenate([rows_with(one.get(name, 0), one["rows"]) for one in entities])
        )
        for name in ("own", "pushed", "fallback")
    }
    contest = Contest(
        entities=[f"é/{i}" for i in range(len(entities))],
        groups=Groups(np.repeat(np.arange(len(entities)), sizes), len(entities)),
        situation=np.array([SITUATIONS[one["situation"]] for one in entities]),
        note=[one.get("note", "") for one in entities],
        metric=config.pop("metric", "accuracy"),
        **columns,
    )
    return decide(contest, EvaluationConfig.from_dict(config))


@pytest.mark.parametrize(
    ("entity", "verdict", "serves"),
    [
        ({"situation": "new", "own": 10, "fallback": 30}, "blessed", "candidate"),
        ({"situation": "new", "own": 28, "fallback": 30}, "fallback", "fallback"),
        ({"situation": "new", "own": 30, "fallback": 10}, "fallback", "fallback"),
        ({"situation": "none", "fallback": 10}, "fallback", "fallback"),
        ({"situation": "refresh", "own": 10, "pushed": 10, "fallback": 11}, "blessed", "candidate"),
        ({"situation": "refresh", "own": 10, "pushed": 9, "fallback": 11}, "blessed", "candidate"),
        # No better than the fallback, which the pushed one is.
        ({"situation": "refresh", "own": 12, "pushed": 10, "fallback": 11}, "kept", "pushed"),
        ({"situation": "refresh", "own": 10, "pushed": 10, "fallback": 10}, "fallback", "fallback"),
        ({"situation": "refresh", "own": 40, "pushed": 10, "fallback": 30}, "kept", "pushed"),
        # As good as the pushed one, but both are worse than the fallback.
        ({"situation": "refresh", "own": 40, "pushed": 40, "fallback": 10}, "fallback", "fallback"),
        ({"situation": "refresh", "own": 26, "pushed": 22, "fallback": 19}, "fallback", "fallback"),
        ({"situation": "held", "own": 10, "pushed": 10, "fallback": 11}, "kept", "pushed"),
        ({"situation": "held", "own": 10, "pushed": 10, "fallback": 10}, "fallback", "fallback"),
        ({"situation": "held", "own": 40, "pushed": 40, "fallback": 10}, "fallback", "fallback"),
    ],
)
def test_verdict_of_one_entity(entity: dict[str, Any], verdict: str, serves: str) -> None:
    verdicts = judge({"rows": 100, **entity})
    assert (verdicts.verdict, verdicts.serves) == ([verdict], [serves])


def test_reason_has_the_values_the_rows_and_the_adjusted_p_value() -> None:
    verdicts = judge({"situation": "new", "rows": 100, "own": 10, "fallback": 30})
    assert verdicts.p_value[0] == pytest.approx(0.5**20)
    assert verdicts.reason == ["own 0.9, fallback 0.7 on 100 rows: better (adjusted p 9.5e-07)"]


def test_p_values_take_the_number_of_entities_into_account() -> None:
    weak = {"situation": "new", "rows": 100, "own": 24, "fallback": 30}  # p = 2^-6
    same = {"situation": "new", "rows": 100, "own": 30, "fallback": 30}
    assert judge(weak).verdict == ["blessed"]
    among_many = judge(weak, *[same] * 99)
    assert set(among_many.verdict) == {"fallback"}
    assert among_many.p_value[0] == 1.0


def test_a_threshold_refuses_what_does_not_surely_reach_it() -> None:
    entity = {"situation": "new", "rows": 100, "own": 30, "fallback": 60}
    sure = judge(entity, thresholds={"accuracy": {"min": 0.6}})
    unsure = judge(entity, thresholds={"accuracy": {"min": 0.68}})
    assert sure.verdict == ["blessed"]
    assert (unsure.verdict, unsure.serves) == (["refused"], ["fallback"])
    assert "accuracy does not reach 0.68 with confidence" in unsure.reason[0]
    pushed = judge(
        {"situation": "refresh", "rows": 100, "own": 30, "pushed": 30, "fallback": 60},
        thresholds={"accuracy": {"min": 0.68}},
    )
    assert (pushed.verdict, pushed.serves) == (["refused"], ["pushed"])


def test_small_entities_are_judged_together() -> None:
    small = {"situation": "new", "rows": 5, "own": 0, "fallback": 2}
    alone, many = judge(small), judge(*[small] * 20)
    assert alone.verdict == ["fallback"]
    assert set(many.verdict) == {"blessed"}
    assert "fewer than 30 rows, judged together with all 20 such entities" in many.reason[0]


def test_entities_without_rows_change_nothing() -> None:
    verdicts = judge(*({"situation": name, "rows": 0} for name in SITUATIONS))
    assert verdicts.serves == ["fallback", "fallback", "candidate", "pushed"]
    assert np.isin(verdicts.verdict, ["fallback", "blessed", "kept"]).all()


def test_failing_predictions_refuse_a_model() -> None:
    rows = 100
    label = np.zeros(rows)
    own = Regressed(label, np.where(np.arange(rows) < 5, np.nan, 0.1))
    contest = Contest(
        entities=["a"],
        groups=Groups.single(rows),
        own=own,
        fallback=Regressed(label, np.linspace(1, 2, rows)),
        pushed=None,
        situation=np.array([NEW]),
        note=[""],
        metric="mse",
    )
    verdicts = decide(contest, EvaluationConfig())
    assert verdicts.verdict == ["refused"]
    assert "fail too often" in verdicts.reason[0]
    assert decide(contest, EvaluationConfig(max_failed_share=0.1)).verdict == ["blessed"]


def _fleet(seed: int, entities: int, own: float, fallback: float) -> Contest:
    """Fresh evaluation rows of a fleet of new models with given error shares."""
    random = np.random.default_rng(seed)
    code = np.repeat(np.arange(entities), random.integers(40, 400, entities))
    return Contest(
        entities=[str(i) for i in range(entities)],
        groups=Groups(code, entities),
        own=answers(random.random(len(code)) < own),
        fallback=answers(random.random(len(code)) < fallback),
        pushed=answers(random.random(len(code)) < fallback),
        situation=np.full(entities, NEW),
        note=[""] * entities,
        metric="accuracy",
    )


def test_without_a_difference_next_to_nothing_switches_and_nothing_flaps() -> None:
    switched = [decide(_fleet(s, 2000, 0.2, 0.2), EvaluationConfig()) for s in range(20)]
    changes = [verdicts.count("blessed") for verdicts in switched]
    # Any change at all happens in at most 5% of runs: 20 runs with 4 would be 1 in 60.
    assert sum(count > 0 for count in changes) <= 3
    assert sum(changes) <= 4


def test_a_fleet_that_earned_its_models_keeps_them_on_fresh_rows() -> None:
    fleet = _fleet(1, 2000, 0.1, 0.25)
    pushed = answers(np.random.default_rng(2).random(len(fleet.groups.code)) < 0.1)
    situation = np.full(2000, REFRESH)
    refreshed = Contest(**{**vars(fleet), "pushed": pushed, "situation": situation})
    verdicts = decide(refreshed, EvaluationConfig())
    assert verdicts.count("blessed") >= 1980
    assert verdicts.count("fallback") <= 10, "40 rows can hide a difference of 15 points, rarely"


def test_true_differences_are_found_and_false_discoveries_stay_within_the_bound() -> None:
    """Half of 2,000 entities have a model that is right 90% of the time instead of 75%."""
    better, same = _fleet(7, 1000, 0.1, 0.25), _fleet(8, 1000, 0.25, 0.25)
    joined = Contest(
        entities=[str(i) for i in range(2000)],
        groups=Groups(np.concatenate([better.groups.code, same.groups.code + 1000]), 2000),
        **{
            name: answers(
                np.concatenate([getattr(one, name).predicted == 1 for one in (better, same)])
            )
            for name in ("own", "fallback", "pushed")
        },
        situation=np.full(2000, NEW),
        note=[""] * 2000,
        metric="accuracy",
    )
    blessed = np.array(decide(joined, EvaluationConfig()).verdict) == "blessed"
    assert blessed[:1000].mean() > 0.8, "power"
    assert blessed[1000:].sum() / blessed.sum() < 0.05, "false discovery rate"


def test_ten_thousand_entities_and_a_million_rows_take_seconds() -> None:
    import time

    random = np.random.default_rng(0)
    code = np.sort(random.integers(0, 10_000, 1_000_000))
    contest = Contest(
        entities=[str(i) for i in range(10_000)],
        groups=Groups(code, 10_000),
        own=answers(random.random(len(code)) < 0.2),
        fallback=answers(random.random(len(code)) < 0.25),
        pushed=answers(random.random(len(code)) < 0.25),
        situation=random.integers(0, 4, 10_000),
        note=[""] * 10_000,
        metric="log_loss",
    )
    start = time.process_time()
    decide(contest, EvaluationConfig.from_dict({"thresholds": {"accuracy": {"min": 0.6}}}))
    assert time.process_time() - start < 8
