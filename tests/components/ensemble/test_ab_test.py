"""Whom an A/B test gives what: by shares, always the same, and shadows besides."""

import itertools
import math
import os
import subprocess
import sys
from collections import Counter

import pytest
from scipy.stats import chisquare

from components.ensemble.ab_test import ABTest, TrafficSplit
from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Record
from components.ensemble.run import RunABTest
from tests.components.ensemble.contract import run
from tests.components.ensemble.handlers import Double

KEYS = [f"gs://bucket/photos/{n:05}.jpg" for n in range(10_000)]


@pytest.mark.parametrize(
    "shares",
    [
        {"a": 1, "b": 1},
        {"a": 9, "b": 1},
        {"a": 0.98, "b": 0.01, "c": 0.01},
        {"a": 3, "b": 2, "c": 5},
    ],
)
@pytest.mark.parametrize("keys", [KEYS, range(10_000), [f"{n}" * 30 for n in range(10_000)]])
def test_shares_are_kept(shares, keys):
    split = TrafficSplit(tuple(sorted(shares.items())), "uri", ())
    counts = Counter(split.variant_of(key) for key in keys)
    expected = {name: 10_000 * share / sum(shares.values()) for name, share in shares.items()}
    found = [counts[name] for name in expected]
    assert chisquare(found, list(expected.values())).pvalue > 1e-4


def test_neighbours_are_no_more_alike_than_strangers():
    """The n-th and the (n+1)-th key get the same variant as often as chance has it."""
    split = TrafficSplit((("a", 1), ("b", 1)), "uri", ())
    variants = [split.variant_of(key) for key in KEYS]
    same = sum(one == other for one, other in itertools.pairwise(variants))
    assert abs(same - 4999.5) < 4 * math.sqrt(9999 / 4)


WAS = "aaaaaababaaaabaaaaaaaaaababaaaaaaaaaabab"
"""What it was when this was written: a running test must not be dealt anew by an upgrade."""
PROGRAM = """
import sys
from components.ensemble.ab_test import TrafficSplit
split = TrafficSplit((("a", 0.7), ("b", 0.3)), "uri", ())
print("".join(split.variant_of(f"key {n}") for n in range(500)))
"""


def test_the_same_value_gets_the_same_variant_in_every_process():
    split = TrafficSplit((("a", 0.7), ("b", 0.3)), "uri", ())
    here = "".join(split.variant_of(f"key {n}") for n in range(500))
    for seed in ("0", "1234"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        there = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here
    assert here.startswith(WAS)


def test_who_moves_when_a_share_grows_moves_to_it():
    """With two variants a larger share of one takes from the other, and gives nothing back."""
    before = TrafficSplit((("a", 0.9), ("b", 0.1)), "uri", ())
    after = TrafficSplit((("a", 0.7), ("b", 0.3)), "uri", ())
    moves = Counter((before.variant_of(key), after.variant_of(key)) for key in KEYS)
    assert moves[("b", "a")] == 0 and 1700 < moves[("a", "b")] < 2300


def variants() -> dict[str, Ensemble]:
    return {
        name: Ensemble(Stage("y", Double(**options), inputs="x"))
        for name, options in {"a": {}, "b": {}, "seen": {"fail": "raise"}}.items()
    }


def test_shadows_see_everything_and_change_nothing_for_the_others():
    numbers = [Record(f"row {n % 40}", {"x": n}) for n in range(200)]  # keys come five times
    plain = {name: one for name, one in variants().items() if name != "seen"}
    split = {"a": 2, "b": 1}
    test = ABTest(variants(), split, by="x", shadow=("seen",))
    results = run(RunABTest(test), numbers)
    served = [r for r in results if r.variant != "seen"]
    shadow = [r for r in results if r.variant == "seen"]
    alone = run(RunABTest(ABTest(plain, split, by="x")), numbers)
    assert sorted(map(told, served)) == sorted(map(told, alone))
    assert Counter(r.values["x"] for r in shadow) == Counter(range(200))
    assert {r.values["x"] for r in shadow if r.failure} == {n for n in range(200) if n % 10 == 3}
    assert not [r for r in served if r.failure]  # the shadow's failures are its own


def told(record: Record) -> tuple:
    return record.key, record.variant, record.values["x"], record.values["y"]


def test_records_of_one_value_stay_together_whatever_their_keys():
    records = [Record(f"row {n}", {"x": n, "user": n % 7}) for n in range(300)]
    test = ABTest({"a": variants()["a"], "b": variants()["b"]}, {"a": 1, "b": 1}, by="user")
    by_user = {}
    for record in run(RunABTest(test), records):
        by_user.setdefault(record.values["user"], set()).add(record.variant)
    assert all(len(seen) == 1 for seen in by_user.values()) and len(by_user) == 7
    assert set.union(*by_user.values()) == {"a", "b"}
