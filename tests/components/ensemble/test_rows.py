"""Outputs are cut into rows, or refused; never guessed."""

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
from apache_beam.ml.inference import utils
from apache_beam.ml.inference.base import PredictionResult
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from components.ensemble.predict import predict
from components.ensemble.rows import RowsError, rows_of, whole_rows
from tests.components.ensemble.handlers import Double

TENSOR = np.arange(24).reshape(4, 3, 2)


def test_arrays_lists_and_frames_are_cut():
    assert [row.tolist() for row in rows_of(TENSOR, 4)] == TENSOR.tolist()
    assert rows_of(["a", "b"], 2) == ["a", "b"] and rows_of(iter("ab"), 2) == ["a", "b"]
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=[5, 1])
    assert [row.tolist() for row in rows_of(frame, 2)] == [[1, 3], [2, 4]]
    assert rows_of(frame["a"], 2) == [1, 2]
    sparse = rows_of(csr_matrix([[0, 1], [2, 0]]), 2)
    assert [row.toarray().tolist() for row in sparse] == [[[0, 1]], [[2, 0]]]


leaves = st.sampled_from([TENSOR, TENSOR[:, 0, 0], TENSOR.tolist(), list("abcd")])
nested = st.recursive(
    leaves, lambda inner: st.dictionaries(st.text(max_size=2), inner, min_size=1, max_size=3)
)


@given(nested)
def test_mappings_are_cut_however_deep(output):
    found = rows_of(output, 4)
    assert len(found) == 4
    for place, row in enumerate(found):
        check_row(row, output, place)


def check_row(row, output, place) -> None:
    if isinstance(output, dict):
        assert list(row) == list(output)
        for name in output:
            check_row(row[name], output[name], place)
    else:
        assert np.array_equal(row, output[place])


@pytest.mark.parametrize(
    "output",
    [
        TENSOR[:3],
        np.float64(3),
        "four",
        None,
        {},
        (TENSOR, TENSOR),
        tuple(TENSOR),  # rows or outputs: a tuple says neither
        list("abc"),
        [TENSOR] * 4,  # four outputs or four rows
        {"good": TENSOR, "bad": {"layers": (TENSOR,) * 4}},
        {"logits": TENSOR, "name": "four"},
        OrderedDict(loss=np.float64(1), logits=TENSOR),
    ],
)
def test_what_has_no_row_for_each_example_is_refused(output):
    with pytest.raises(RowsError, match=r"not one row for each of 4 example\(s\)"):
        rows_of(output, 4)


def test_the_error_says_where():
    with pytest.raises(RowsError, match=r"output\['bad'\]\['layers'\] is a tuple of 2: not"):
        rows_of({"good": TENSOR, "bad": {"layers": (TENSOR, TENSOR)}}, 4)
    with pytest.raises(RowsError, match=r"output is a ndarray of shape \(3, 3, 2\)"):
        rows_of(TENSOR[:3], 4)


def test_one_row_that_looks_like_an_output_is_still_one_row():
    [row] = rows_of([np.array([0.5])], 1)
    assert row.tolist() == [0.5]


def test_beams_own_pairing_is_as_it_was_outside():
    lost = {"good": TENSOR, "layers": (TENSOR, TENSOR)}
    with whole_rows(), pytest.raises(RowsError):
        utils._convert_to_result(list("abcd"), lost, "m")
    assert len(list(utils._convert_to_result(list("abcd"), lost, "m"))) == 2  # two are lost
    with whole_rows():
        paired = utils._convert_to_result(list("ab"), [1, 2], "m")
    assert paired == [PredictionResult("a", 1, "m"), PredictionResult("b", 2, "m")]


class Shuffled(Double):
    """Gives results in another order, as Beam allows: each has its example."""

    def run_inference(self, batch, model, inference_args=None):
        return [PredictionResult(x, 2 * x[0], "") for x in reversed(batch)]


@given(st.lists(st.integers(0, 3), max_size=9))
def test_results_are_paired_by_the_example_that_they_name(numbers):
    shared = {number: [number] for number in range(4)}  # so that one object may come twice
    results = predict(Shuffled(), [shared[number] for number in numbers], None)
    assert [result.inference for result in results] == [2 * number for number in numbers]


class Copying(Double):
    """Names copies of its examples."""

    def run_inference(self, batch, model, inference_args=None):
        return [PredictionResult(list(x), 2 * x[0], "") for x in batch]


def test_results_that_name_something_else_are_in_order():
    results = predict(Copying(), [[3], [1], [2]], None)
    assert [result.inference for result in results] == [6, 2, 4]


def test_no_example_is_no_call():
    assert predict(Double(fail="none"), [], None) == []
