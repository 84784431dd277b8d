from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest

from components.entity_models.spec import ModelSpec
from components.model_server.entity_tensors import (
    input_tensors,
    to_outputs,
    to_request,
    to_table,
)
from components.model_server.requests import RequestError, check_request, check_rows

SPEC = ModelSpec(
    entity_columns=("town", "shop"),
    label="sales",
    task="regression",
    features=(("day", "int64"), ("kind", "string"), ("price", "double")),
    entity_types=("string", "int64"),
)


@dataclass
class FakeTensor:
    name: str
    datatype: str
    shape: list[int]
    data: Any


def tensors(**changes: dict[str, Any]) -> list[FakeTensor]:
    columns: dict[str, tuple[str, list[Any]]] = {
        "town": ("BYTES", ["Köln", "a/../b"]),
        "shop": ("INT64", [7, 8]),
        "day": ("INT32", [1, None]),
        "kind": ("BYTES", ["", None]),
        "price": ("FP32", [1, 2.5]),
    }
    made = {name: FakeTensor(name, kind, [2], data) for name, (kind, data) in columns.items()}
    for name, change in changes.items():
        made[name].__dict__.update(change)
    return list(made.values())


def test_tensors_become_typed_columns_with_nulls():
    table = to_table(tensors(), SPEC, max_rows=10)
    assert table.to_pydict() == {
        "town": ["Köln", "a/../b"],
        "shop": [7, 8],
        "day": [1, None],
        "kind": ["", None],
        "price": [1.0, 2.5],
    }
    assert [str(field.type) for field in table.schema] == [
        "string",
        "int64",
        "int64",
        "string",
        "double",
    ]


@pytest.mark.parametrize(
    ("kind", "datatype", "given", "typed"),
    [
        ("double", "BYTES", ["1.0", " 2.5"], [1.0, 2.5]),
        ("double", "INT64", [1, None], [1.0, None]),
        ("int64", "BYTES", ["1", "-2"], [1, -2]),
        ("int64", "FP32", [1.0, 2.0], [1, 2]),
        ("string", "INT64", [1, 2], ["1", "2"]),
        ("string", "BYTES", ["1.0", ""], ["1.0", ""]),
    ],
)
def test_entities_get_the_type_that_they_had_in_training(
    kind: str, datatype: str, given: list[Any], typed: list[Any]
):
    spec = replace(SPEC, entity_types=("string", kind))
    table = to_table(tensors(shop={"datatype": datatype, "data": given}), spec, max_rows=10)
    assert table.column("shop").to_pylist() == typed
    shop = next(tensor for tensor in input_tensors(spec) if tensor["name"] == "shop")
    assert shop["datatype"] == {"double": "FP64", "int64": "INT64", "string": "BYTES"}[kind]


@pytest.mark.parametrize("data", [[[1], [None]], [1, None]])
def test_columns_may_be_written_as_matrices(data: list[Any]):
    table = to_table(tensors(day={"shape": [2, 1], "data": data}), SPEC, max_rows=10)
    assert table.column("day").to_pylist() == [1, None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"day": {"data": [1, 1.5]}}, "row 1 of input 'day' is 1.5, expected a whole number"),
        ({"day": {"data": [True, 1]}}, "row 0 of input 'day' is True"),
        ({"day": {"data": ["1", 1]}}, "row 0 of input 'day' is '1'"),
        ({"day": {"data": [2**63, 1]}}, "'day' has a number beyond"),
        ({"day": {"datatype": "FP64"}}, "'day' has datatype 'FP64', expected INT64"),
        ({"day": {"data": [[1], [2]]}}, "row 0 of input 'day' is [1]"),
        ({"day": {"data": [1]}}, "'day' has 1 values for shape [2]"),
        ({"day": {"shape": [2, 2]}}, "shape [2, 2], expected [n] or [n, 1]"),
        ({"day": {"shape": []}}, "expected [n] or [n, 1]"),
        ({"day": {"shape": [-2]}}, "expected [n] or [n, 1]"),
        ({"day": {"shape": [0], "data": []}}, "expected [n] or [n, 1]"),
        ({"day": {"shape": [1], "data": [1]}}, "same number of rows; 'town' has 2, 'day' has 1"),
        ({"kind": {"data": [7, None]}}, "row 0 of input 'kind' is 7, expected a string"),
        (
            {"shop": {"datatype": "FP64", "data": [7.0, 7.5]}},
            "row 1 of entity column 'shop' is 7.5",
        ),
        ({"shop": {"datatype": "BYTES", "data": ["x", "7"]}}, "row 0 of entity column 'shop' is"),
        ({"kind": {"name": "price"}}, "input 'price' is given twice"),
        ({"kind": {"name": "colour"}}, "unknown input 'colour'; the model takes town, shop, day"),
        ({"price": {"data": [float("inf"), 1]}}, "row 0 of input 'price' is not finite"),
        ({"price": {"data": [10**400, 1]}}, "beyond the range"),
        ({"price": {"data": ["1", 1]}}, "row 0 of input 'price' is '1', expected a number"),
    ],
)
def test_misfits_are_refused_in_one_sentence(change: dict[str, Any], words: str):
    with pytest.raises(RequestError) as caught:
        to_table(tensors(**change), SPEC, max_rows=10)
    assert words in str(caught.value)
    assert caught.value.status == 400


def test_missing_columns_are_named():
    with pytest.raises(RequestError, match="inputs missing: kind, price"):
        to_table(tensors()[:3], SPEC, max_rows=10)


def test_too_many_rows():
    with pytest.raises(RequestError, match="2 rows in one request, at most 1") as caught:
        to_table(tensors(), SPEC, max_rows=1)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": [1]},
        {"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1]}]},
        {"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1.0], "data": []}]},
        {"inputs": [{"name": "a", "datatype": "BYTES", "shape": [True], "data": []}]},
        {"inputs": [{"name": 1, "datatype": "BYTES", "shape": [1], "data": []}]},
        {"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1], "data": []}], "id": 1},
        {"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1], "data": []}], "outputs": 1},
    ],
)
def test_other_forms_of_body_are_refused(content: object):
    with pytest.raises(RequestError) as caught:
        check_request(content)
    assert caught.value.status == 400


def test_a_long_value_does_not_make_a_long_error():
    with pytest.raises(RequestError) as caught:
        to_table(tensors(day={"data": ["x" * 100_000, 1]}), SPEC, max_rows=10)
    assert len(str(caught.value)) < 200


def test_a_written_request_reads_back():
    table = to_table(tensors(), SPEC, max_rows=10)
    encoded = table.set_column(3, "kind", table.column("kind").dictionary_encode())
    request = check_request(to_request(encoded, SPEC))
    again = to_table([FakeTensor(**tensor) for tensor in request["inputs"]], SPEC, max_rows=10)
    assert again.equals(table)


def test_rows_without_prediction_refuse_the_request_and_are_named():
    with pytest.raises(RequestError) as caught:
        check_rows([None, "entity key\nmissing", *["bad"] * 6])
    assert caught.value.status == 422
    assert str(caught.value).startswith(
        "7 of 8 rows cannot be predicted: row 1: entity key missing"
    )
    assert str(caught.value).endswith("row 5: bad; and 2 more")


def test_a_model_without_probabilities_gives_nulls():
    spec = ModelSpec(("a",), "y", "classification", (("x", "double"),), (0, 1))
    result = pa.table(
        {
            "prediction": [1, 0],
            "probabilities": pa.array([[0.25, 0.75], None], pa.list_(pa.float64())),
            "fallback": [False, True],
        }
    )
    assert to_outputs(result, spec) == [
        {"name": "prediction", "datatype": "INT64", "shape": [2], "data": [1, 0]},
        {
            "name": "probabilities",
            "datatype": "FP64",
            "shape": [2, 2],
            "data": [0.25, 0.75, None, None],
            "parameters": {"classes": "[0, 1]"},
        },
        {"name": "fallback", "datatype": "BOOL", "shape": [2], "data": [False, True]},
    ]
