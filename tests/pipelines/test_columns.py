import gzip

import pytest

from components.errors import BeamfleetError
from components.example_gen.source import HashSplit, TimeSplit
from pipelines.columns import csv_columns
from pipelines.pipeline import Pipeline, from_csv, from_parquet

FUNCTIONS = "tests.pipelines.functions"


def wired(rows, *, entity="shop", label="sales", **options) -> Pipeline:
    return (
        Pipeline("shop")
        .from_csv(rows, **options)
        .generate_statistics()
        .infer_schema()
        .train_per_entity(f"{FUNCTIONS}.train_fn", entity=entity, label=label, task="regression")
    )


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda rows: wired(rows, label="slaes"), "label 'slaes' is not in the first row of"),
        (
            lambda rows: wired(rows, label="slaes"),
            "did you mean 'sales'? It has shop, price, sales",
        ),
        (lambda rows: wired(rows, entity=["shop", "zzz"]), "entity 'zzz' is not in"),
        (lambda rows: wired(rows, columns=["a", "shop"]), "label 'sales' is not in columns=[...]"),
        (lambda rows: wired(rows).evaluate(slices=["prise"]), "slice 'prise'"),
        (lambda rows: wired(rows).evaluate(slices=[["shop", "prise"]]), "slice 'prise'"),
        (lambda rows: wired(rows).evaluate(fairness="color"), "fairness column 'color'"),
        (lambda rows: wired(rows, splits=TimeSplit("day", "2024-01-01")), "TimeSplit's column"),
        (lambda rows: wired(rows, splits=HashSplit(columns=("day",))), "HashSplit's column"),
        (
            lambda rows: wired(rows).bulk_infer(from_csv(rows), output_columns="day"),
            "output column 'day'",
        ),
    ],
)
def test_a_column_that_is_not_there_is_named(rows, build, says):
    with pytest.raises(BeamfleetError, match="pipeline 'shop'") as refused:
        build(rows).check()
    assert says in str(refused.value)


def test_columns_that_a_clean_function_may_make_are_not_looked_for(rows):
    wired(rows, label="profit", clean=f"{FUNCTIONS}.clean_fn").check()
    cleaned = wired(rows).bulk_infer(
        from_csv(rows), clean=f"{FUNCTIONS}.clean_fn", output_columns="day"
    )
    cleaned.check()


def test_the_header_is_read_as_the_node_reads_it(tmp_path):
    (tmp_path / "_hidden.csv").write_text("x\n")
    (tmp_path / "a.json").write_text("{}")
    with gzip.open(tmp_path / "b.csv.gz", "wt", encoding="utf-8-sig") as file:
        file.write('\n"the shop"; price ;sales\n1;2;3\n')
    (tmp_path / "c.csv").write_text("other\n")
    where, columns = csv_columns(from_csv(tmp_path, delimiter=";"))
    assert where == f"the first row of {tmp_path / 'b.csv.gz'}"
    assert columns == ("the shop", "price", "sales")


def test_what_takes_more_than_a_glance_is_left_to_the_node(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    for path in ("empty.csv", "binary.csv", "folder", "day-*.csv", "day-{SPAN}.csv"):
        assert csv_columns(from_csv(tmp_path / path)) is None
    assert csv_columns(from_csv("gs://bucket/rows.csv")) is None
    assert csv_columns(from_parquet(tmp_path)) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mae": 5}, """is 5, expected named numbers, such as {"mae": {"max": 5}}"""),
        ({"r2": {"min": "high"}}, """such as {"r2": {"min": 0.7}}"""),
        (0.7, """expected bounds by metric, such as {"accuracy": {"min": 0.7}}"""),
    ],
)
def test_thresholds_of_another_shape_are_refused_with_an_example(given, says):
    with pytest.raises(BeamfleetError) as refused:
        Pipeline("shop").evaluate(thresholds=given)
    assert says in str(refused.value)


def test_a_metric_of_the_other_task_is_refused(rows):
    with pytest.raises(BeamfleetError, match="accuracy: not a regression metric"):
        wired(rows).evaluate(metrics="accuracy").check()


def test_one_name_stands_for_a_list_of_one(rows):
    wired(rows).evaluate(metrics="mae", slices="shop", fairness="price").check()
    with pytest.raises(BeamfleetError, match=r"unknown metrics \['beauty'\]"):
        wired(rows).evaluate(metrics="beauty")
