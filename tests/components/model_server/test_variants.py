"""What is counted of a variant, and how requests are shared, without a server."""

import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from components.model_server import variants
from components.model_server.requests import RequestError
from components.model_server.routes import (
    Part,
    Routes,
    Rows,
    Served,
    joined,
    request_key,
    some_rows,
)
from components.model_server.variants import OTHERS, VariantMetrics
from components.pusher.traffic import new_split, traffic_plan


def served(label: str, version: str = "1") -> Served:
    servable: Any = object()
    return Served(version, servable, VariantMetrics(label, version))


def routes(champion: float, challenger: float) -> Routes:
    plan = traffic_plan({"champion": champion, "challenger": challenger})
    split = new_split(plan, 1, 2)
    return Routes(served("champion"), served("challenger", "2"), split)


@settings(deadline=None, max_examples=25)
@given(shares=st.tuples(st.integers(1, 99), st.integers(1, 99)), salt=st.text(max_size=4))
def test_shares_are_kept_and_every_key_keeps_its_variant(shares: tuple[int, int], salt: str):
    keys = [f"{salt}{n}" for n in range(2_000)]
    found = Counter(routes(*shares).of_key(key).label for key in keys)
    low, high = binom.interval(1 - 1e-7, 2_000, shares[1] / sum(shares))
    assert low <= found["challenger"] <= high
    again = [routes(*shares).of_key(key).label for key in keys[:50]]
    assert again == [routes(*shares).of_key(key).label for key in keys[:50]]


@given(keys=st.lists(st.none() | st.text(max_size=2), max_size=30))
def test_each_row_goes_to_the_variant_of_its_key_and_comes_back_in_its_place(
    keys: list[str | None],
):
    way = routes(1, 1)
    parts = []
    for one, rows in way.of_rows(keys):
        [tensor] = some_rows([Rows("x", [len(keys), 1], "INT64", list(range(len(keys))))], rows)
        assert tensor.shape == [len(rows), 1]
        flat = [value for row in tensor.data for value in (row, -row)]
        output = {"name": "x", "shape": [len(rows), 2], "data": flat}
        parts.append(Part(one, rows, [output]))
        for row in rows:
            key = keys[row]
            assert one.label == (way.of_key(key).label if key is not None else "champion")
    if len(parts) == 2:
        [output], parameters = joined(parts)
        assert output["shape"] == [len(keys), 2]
        assert output["data"] == [v for row in range(len(keys)) for v in (row, -row)]
        assert parameters["label"] == "champion,challenger"


def test_percentiles_are_those_of_numpy():
    metrics = VariantMetrics("champion", "1", limit_ms=50.5)
    seconds = np.random.default_rng(0).permutation(np.arange(1, 1_001)) / 10_000
    for value in seconds:
        metrics.record(float(value), failed=False)
    found = metrics.snapshot()
    for percent in (50, 95, 99):
        expected = np.percentile(seconds * 1_000, percent, method="inverted_cdf")
        assert found[f"p{percent}_ms"] == pytest.approx(expected)
    assert (metrics.requests, metrics.slow) == (1_000, 495)


def test_predictions_are_counted_by_word_and_numbers_by_their_moments():
    metrics = VariantMetrics("champion", "1")
    metrics.record(0.1, False, ["yes", "no", "yes", 3, None, True])
    metrics.record(0.1, True)
    numbers = [1.0, 2.5, -4.0, 1e6]
    metrics.record(0.1, False, numbers)
    found = metrics.snapshot()
    assert found["predictions"] == {"yes": 2, "no": 1, "3": 1, "None": 1, "True": 1}
    assert found["mean_prediction"] == pytest.approx(np.mean(numbers))
    assert found["std_prediction"] == pytest.approx(np.std(numbers))
    assert (found["requests"], found["errors"], found["rows"]) == (3, 1, 10)


def test_not_every_word_gets_a_count_of_its_own():
    metrics = VariantMetrics("champion", "1")
    metrics.record(0.1, False, [f"word {n}" for n in range(1_000)])
    counts = metrics.snapshot()["predictions"]
    assert len(counts) == variants._MAX_VALUES + 1
    assert counts[OTHERS] == 1_000 - variants._MAX_VALUES


def test_threads_lose_no_count():
    metrics = VariantMetrics("champion", "1")

    def count() -> None:
        for _ in range(2_000):
            metrics.record(0.001, True, ["a"])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (metrics.requests, metrics.errors, metrics.rows) == (8_000,) * 3


def test_what_a_request_is_sticky_by():
    assert request_key({"sticky_key": "u"}, "id") == "u"
    assert request_key({"sticky_key": 7}, "id") == "7"
    assert request_key({}, "id") == "id"
    assert request_key({}, "") != request_key({}, "")
    with pytest.raises(RequestError, match="string or a whole number"):
        request_key({"sticky_key": True}, "id")
