"""Intervals and tests against values from the literature, from SciPy and from enumeration."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.caption_evaluator.compare import (
    FISHER,
    MCNEMAR,
    pair,
    paired,
    unpaired,
    wilson,
    worse,
)


def matches(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, ...]:
    cells = [both, only_first, only_second, neither]
    first = np.repeat([True, True, False, False], cells)
    return first, np.repeat([True, False, True, False], cells)


def test_wilson_is_brown_cai_and_dasguptas_formula() -> None:
    low, high = wilson(81, 263, 0.95)  # the first example of Newcombe 1998
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_paired_difference_by_hand() -> None:
    found = paired(*matches(80, 12, 3, 5), confidence=0.95)
    assert (found.first, found.second, found.value) == pytest.approx((0.92, 0.83, 0.09))
    centre, total = 13 / 102 - 4 / 102, 17 / 102
    reach = 1.959964 * np.sqrt((total - centre**2) / 102)
    assert (found.low, found.high) == pytest.approx((centre - reach, centre + reach))
    assert found.p_value == pytest.approx(stats.binomtest(12, 15).pvalue)
    assert (found.first_rows, found.second_rows, found.test) == (100, 100, MCNEMAR)


def test_equal_captioners_are_not_told_apart() -> None:
    found = paired(*matches(10, 0, 0, 0), confidence=0.95)
    assert (found.value, found.p_value) == (0, 1)
    assert found.low < -0.1 < 0.1 < found.high, "ten images do not show that there is no difference"


@settings(deadline=None)
@given(*[st.integers(0, 40)] * 3, st.integers(1, 40))
def test_swapping_turns_the_difference_around(
    both: int, only_first: int, only_second: int, neither: int
) -> None:
    first, second = matches(both, only_first, only_second, neither)
    one, other = paired(first, second, 0.9), paired(second, first, 0.9)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.p_value == other.p_value
    assert -1 <= one.low <= one.high <= 1
    apart, turned = unpaired(first, second, 0.9), unpaired(second, first, 0.9)
    assert (apart.low, apart.high) == pytest.approx((-turned.high, -turned.low))
    assert -1 <= apart.low <= apart.value <= apart.high <= 1


@pytest.mark.parametrize("shares", [(0.5, 0.2, 0.1, 0.2), (0.85, 0.1, 0.05, 0), (0.9, 0.1, 0, 0)])
def test_paired_interval_covers_as_often_as_it_says(shares: tuple[float, ...]) -> None:
    rows, truth, covered = 60, shares[1] - shares[2], 0.0
    for first in range(rows + 1):
        for second in range(rows + 1 - first):
            found = paired(*matches(rows - first - second, first, second, 0), confidence=0.95)
            if found.low <= truth <= found.high:
                cells = [first, second, rows - first - second]
                p = [shares[1], shares[2], shares[0] + shares[3]]
                covered += float(stats.multinomial.pmf(cells, rows, p))
    assert 0.94 < covered < 0.985


def test_unpaired_difference_is_newcombes_tenth_method() -> None:
    first = np.repeat([True, False], [56, 14])  # Newcombe 1998, table II, (a): 56/70 and 48/80
    second = np.repeat([True, False], [48, 32])
    found = unpaired(first, second, 0.95)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.p_value == pytest.approx(stats.fisher_exact([[56, 14], [48, 32]]).pvalue)
    assert (found.first_rows, found.second_rows, found.test) == (70, 80, FISHER)


def captioned(rows: list[tuple[str, str | None, str | None]]) -> pa.Table:
    names = ("image_uri", "reference", "caption")
    columns = zip(*rows, strict=True) if rows else [(), (), ()]
    return pa.table({n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)})


def test_images_meet_by_name_and_reference_in_any_order() -> None:
    first = captioned(
        [("x", "1", "x1"), ("x", "2", "x2"), ("y", None, "y"), ("z", "1", None), ("w", "1", "w")]
    )
    second = captioned(
        [("z", "1", "z"), ("y", None, "Y"), ("x", "2", "X2"), ("x", "1", "X1"), ("w", "2", "W")]
    )
    one, other = (table.column("caption").to_pylist() for table in pair(first, second))
    assert dict(zip(one, other, strict=True)) == {"x1": "X1", "x2": "X2", "y": "Y"}


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_of_duplicates_as_many_meet_as_both_have(one: list[str], other: list[str]) -> None:
    tables = (captioned([(uri, None, uri) for uri in uris]) for uris in (one, other))
    ours, theirs = pair(*tables)
    assert ours.column("image_uri").to_pylist() == theirs.column("image_uri").to_pylist()
    assert ours.num_rows == sum(min(one.count(uri), other.count(uri)) for uri in "abc")


def test_worse_is_the_one_sided_test_of_the_metric() -> None:
    first, second = (pa.table({"exact_match": m}) for m in matches(5, 1, 8, 0))
    expected = stats.binomtest(8, 9, alternative="greater").pvalue
    assert worse(first, second, "exact_match") == pytest.approx(expected)
    assert worse(second, first, "exact_match") > 0.9
    random = np.random.default_rng(0)
    ours, theirs = random.normal(1, 1, 40), random.normal(1.5, 1, 40)
    expected = stats.ttest_rel(theirs, ours, alternative="greater").pvalue
    clip = [pa.table({"clip_score": values}) for values in (ours, theirs)]
    assert worse(*clip, "clip_score") == pytest.approx(expected)
