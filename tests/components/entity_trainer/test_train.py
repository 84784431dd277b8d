"""The work module on all kinds of data, and that its bytes depend on nothing but its input."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.entity_trainer.train import shards_for
from components.errors import BeamfleetError
from tests.components.entity_trainer.training import (
    TYPES,
    config_of,
    entries,
    files_of,
    people,
    schema_of,
    seen_by,
    table_of,
    train,
)


def test_each_entity_gets_its_own_typed_rows(tmp_path):
    models = train(tmp_path / "m", table_of(people("x", 5) + people("y", 3, 10) + people("z", 1)))
    seen = seen_by(models, "y")
    assert sorted(row[0] for row in seen["rows"]) == [30, 31, 32]
    assert seen["types"] == ["int64", "object"]
    assert seen["classes"] == ["high", "low"]
    assert seen["index"] == [0, 2]
    assert models.spec.features == (("age", "int64"), ("job", "string"))
    assert models.model("z")[1] and models.model("never seen")[1]
    assert entries(models)["z"]["reason"] == "1 usable rows, 2 needed"
    assert len(models.fallback().seen["rows"]) == 9  # all rows, the small entity's too
    assert models.fallback().seen["entity"] == ""


def test_every_row_is_counted_once(tmp_path):
    rows = people("x", 6) + people("y", 3) + people("z", 1)
    rows += [people("x", 1)[0] | {"job": None}] * 2
    rows += [people("y", 1)[0] | {"income": None}]
    rows += [people("x", 1)[0] | {"city": None}] * 3 + [people("x", 1)[0] | {"city": ""}]
    rows += [people("gone", 1)[0] | {"age": None}]
    models = train(tmp_path / "m", table_of(rows), config_of(max_rows=4))
    assert dict(models.counts) == {
        "rows_in": 18,
        "rows_without_entity": 4,
        "rows_without_label": 1,
        "rows_dropped": 3,
        "rows_sampled_out": 2,
        "rows_trained": 7,
        "rows_small": 1,
        "rows_failed": 0,
        "entities": 4,
        "entities_trained": 2,
        "entities_small": 2,
        "entities_failed": 0,
        "fallback_rows": 10,
    }
    index = entries(models)
    assert (index["x"]["rows"], index["x"]["rows_dropped"]) == (4, 4)
    assert (index["y"]["rows"], index["y"]["rows_dropped"]) == (3, 1)
    assert (index["gone"]["rows"], index["gone"]["status"]) == (0, "small")


def test_missing_keep_hands_missing_values_over(tmp_path):
    rows = [people("x", 1)[0] | {"job": None}, people("x", 1)[0] | {"age": None}]
    models = train(tmp_path / "m", table_of(rows), config_of(missing="keep"))
    assert sorted(map(str, seen_by(models, "x")["rows"])) == ["[20.0, None]", "[None, 'j0']"]
    assert models.counts["rows_dropped"] == 0


def test_bytes_do_not_depend_on_batches_workers_or_order(tmp_path):
    rows = [row for n in range(12) for row in people(f"e{n}", 7 + n, n)]
    config = config_of("tree", max_rows=15, max_fallback_rows=40)
    train(tmp_path / "a", table_of(rows).to_batches(), config, workers=2)
    random.Random(1).shuffle(rows)
    train(tmp_path / "b", table_of(rows).to_batches(5), config, workers=1)
    first, second = files_of(tmp_path / "a"), files_of(tmp_path / "b")
    costs = first.pop("costs.parquet"), second.pop("costs.parquet")
    assert first == second and len(first) > 3
    assert costs[0] != costs[1], "costs were measured twice and are the same to a nanosecond"


def test_a_train_fn_without_a_seed_gives_the_same_model_again(tmp_path):
    table = table_of(people("x", 5) + people("y", 5))
    config = config_of("unseeded")
    first = train(tmp_path / "a", table, config, workers=1).index()
    assert first == train(tmp_path / "b", table, config, workers=2).index()
    assert len(set(first["sha256"].to_pylist())) == 3


def test_the_cost_of_each_fit_is_told(tmp_path):
    rows = people("busy", 6) + people("quick", 4) + people("small", 1)
    models = train(tmp_path / "m", table_of(rows), config_of("busy"))
    table = pq.read_table(tmp_path / "m" / "costs.parquet")
    assert table.schema.names == ["kind", "entity", "rows", "fit_cpu_seconds"]
    busy, quick, fallback = table.to_pylist()  # the small one has no fit
    assert (busy["kind"], busy["entity"], busy["rows"]) == ("entity", "busy", 6)
    assert (quick["entity"], fallback["kind"], fallback["entity"]) == ("quick", "fallback", "")
    assert 0.15 <= busy["fit_cpu_seconds"] < 1.5, "CPU seconds of the fit alone, which burns 0.15"
    assert 0 < quick["fit_cpu_seconds"] < 0.1, "sleeping costs nothing"
    assert fallback["rows"] == models.counts["fallback_rows"] == 11


def test_fingerprints_follow_rows_code_and_hparams(tmp_path):
    def fingerprints(name, rows, **changes):
        index = entries(train(tmp_path / name, table_of(rows), config_of(**changes)))
        return [index[entity]["fingerprint"] for entity in ("x", "y")]

    rows = people("x", 3) + people("y", 3)
    x, y = fingerprints("a", rows)
    changed_x, same_y = fingerprints("b", [*rows, *people("x", 1, 9)])
    assert changed_x != x and same_y == y
    assert fingerprints("c", rows, hparams={"depth": 1})[0] != x
    assert fingerprints("d", rows, code_fingerprint="other")[0] != x


def test_max_rows_is_a_sample_of_the_entity_only(tmp_path):
    rows = people("hot", 1000) + people("cold", 5)
    config = config_of(max_rows=50, max_fallback_rows=100)
    models = train(tmp_path / "m", table_of(rows).to_batches(30), config)
    assert len(seen_by(models, "hot")["rows"]) == 50
    assert entries(models)["hot"]["rows_dropped"] == 950
    assert len(seen_by(models, "cold")["rows"]) == 5
    assert models.counts["rows_sampled_out"] == 950
    assert len(models.fallback().seen["rows"]) == 100


def test_parent_is_the_fallback(tmp_path):
    models = train(
        tmp_path / "m", table_of(people("x", 4) + people("y", 4)), config_of("of_parent")
    )
    assert models.fallback().seen == ""  # trained without a parent
    assert models.counts["entities_trained"] == 2


def test_several_entity_columns_and_unicode_and_paths(tmp_path):
    cities = ["../../etc/passwd", "a/b", "Ünï ✓", "x" * 3000, '"quoted", [1]', "nul\0l"]
    rows = [row for city in cities for row in people(city, 6)]
    models = train(tmp_path / "one", table_of(rows))
    assert all(not models.model(city)[1] for city in cities)
    both = train(tmp_path / "two", table_of(rows), config_of(entity=("city", "job")))
    assert both.counts["entities"] == 3 * len(cities)
    assert sorted(seen_by(both, '["a/b", "j1"]')["rows"]) == [[21], [24]]
    assert {p.parent.name for p in (tmp_path / "one").rglob("*.bin")} == {"shards"}


def test_regression(tmp_path):
    types = TYPES | {"income": pa.float64()}
    rows = [row | {"income": float(row["age"])} for row in people("x", 9)]
    rows += [people("x", 1)[0] | {"income": float("nan")}]
    config = config_of("tree", task="regression")
    models = train(tmp_path / "m", table_of(rows, types), config, schema_of(types))
    assert models.spec.classes == ()
    assert models.counts["rows_without_label"] == 1
    assert not models.model("x")[1]


def test_integer_classes_and_the_schemas_domain(tmp_path):
    types = TYPES | {"income": pa.int64()}
    rows = [row | {"income": row["age"] % 3} for row in people("x", 9)]
    models = train(tmp_path / "i", table_of(rows, types), schema=schema_of(types))
    assert models.spec.classes == (0, 1, 2)
    schema = schema_of()
    schema.feature[3].string_domain.value.extend(["low", "high", "none yet"])
    models = train(tmp_path / "d", table_of(people("x", 3)), schema=schema)
    assert models.spec.classes == ("high", "low", "none yet")


def test_one_row_and_one_class_are_enough(tmp_path):
    models = train(tmp_path / "m", table_of(people("x", 1)), config_of("tree", min_rows=1))
    assert models.counts["entities_trained"] == 1
    assert models.spec.classes == ("low",)
    only_low = [row | {"income": "low"} for row in people("x", 5)] + people("y", 4)
    models = train(tmp_path / "c", table_of(only_low), config_of("tree"))
    assert models.counts["entities_trained"] == 2


def test_ten_thousand_entities(tmp_path):
    ages = [*range(20, 23)] * 10_000
    cities = [f"city {n // 3}" for n in range(30_000)]
    columns = [
        pa.array(cities),
        pa.array(ages),
        pa.array(["j"] * 30_000),
        pa.array(["low"] * 30_000),
    ]
    table = pa.table(columns, names=list(TYPES))
    models = train(tmp_path / "m", table.to_batches(4_000), shards=64)
    assert models.counts["entities_trained"] == len(models) == 10_000
    assert sorted(seen_by(models, "city 9999")["rows"]) == [[20, "j"], [21, "j"], [22, "j"]]
    # Shards, their folder, index, manifest, costs.
    assert len(list((tmp_path / "m").rglob("*"))) == 64 + 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "training split is empty"),
        ([r | {"income": None} for r in people("x", 3)], "3 without label 'income'"),
        ([r | {"city": None} for r in people("x", 3)], r"3 without entity \['city'\]"),
        ([r | {"job": None} for r in people("x", 3)], "3 with a missing feature"),
    ],
)
def test_nothing_to_train_on_says_why(tmp_path, rows, message):
    with pytest.raises(BeamfleetError, match=message):
        train(tmp_path / "m", table_of(rows).to_batches() or [])
    assert not (tmp_path / "m" / "manifest.json").exists()


def test_data_that_does_not_fit_the_schema_is_named(tmp_path):
    with pytest.raises(BeamfleetError, match="'job' of the schema is not in the examples"):
        train(tmp_path / "a", table_of(people("x", 3)).drop_columns(["job"]))
    words = TYPES | {"age": pa.string()}
    table = table_of([r | {"age": "old"} for r in people("x", 3)], words)
    with pytest.raises(
        BeamfleetError, match="'age' is string in the examples, the schema says int"
    ):
        train(tmp_path / "b", table)


def test_small_data_makes_few_shards():
    assert [shards_for(n) for n in (1, 5_000, 10**7, 0)] == [2, 7, 64, 64]
