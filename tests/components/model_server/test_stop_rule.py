"""The stop rule, simulated: how often it is wrong, and how soon it is right."""

import numpy as np
import pytest

from components.model_server.stop_rule import ERROR, broken, exceeded
from components.pusher.traffic import StopRule

RULE = StopRule(max_error_share=0.02, max_p99_ms=200, min_requests=500)


def looks(share: float, requests: int = 5_000, runs: int = 300) -> list[int | None]:
    """At which request each of some challengers is stopped that fail so often; None: never."""
    failed = np.random.default_rng(7).random((runs, requests)) < share
    counts = failed.cumsum(axis=1)
    found: list[int | None] = []
    for row in counts:
        every = range(20, requests + 1, 20)
        found.append(next((n for n in every if exceeded(int(row[n - 1]), n, 0.02)), None))
    return found


@pytest.mark.parametrize("share", [0.02, 0.01])
def test_who_keeps_the_limit_is_hardly_ever_stopped_however_often_one_looks(share: float):
    wrong = sum(n is not None for n in looks(share))
    assert wrong <= 3 * ERROR * 300


def test_who_breaks_it_is_stopped_soon():
    assert sorted(n or 10**9 for n in looks(0.06, 2_000, 100))[90] < 1_000
    assert exceeded(30, 30, 0.02)
    assert max(n or 10**9 for n in looks(0.5, 200, 100)) <= 60


def test_a_naive_look_would_have_stopped_most_of_them():
    failed = np.random.default_rng(7).random((300, 5_000)) < 0.02
    shares = failed.cumsum(axis=1)[:, 499:] / np.arange(500, 5_001)
    assert (shares > 0.02).any(axis=1).mean() > 0.7


def test_nothing_is_decided_before_min_requests():
    assert broken(RULE, 499, 499, 499) == ""
    assert broken(RULE, 500, 500, 0).startswith("500 of 500 requests failed, at most a share of")
    assert "longer than 200 ms" in broken(RULE, 500, 0, 50)
    assert broken(RULE, 500, 0, 0) == ""
    assert broken(RULE, 10_000, 150, 90) == ""


def test_at_a_limit_of_0_the_first_failure_counts():
    rule = StopRule(max_error_share=0, min_requests=1)
    assert broken(rule, 1_000, 0, 0) == "" and broken(rule, 1_000, 1, 0)
