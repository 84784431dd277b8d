import pytest

from components.entity_trainer.columns import TrainingColumns
from components.errors import BeamfleetError
from tests.components.entity_trainer.training import config_of, schema_of


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entity": ()}, "at least one column"),
        ({"entity": ("income",)}, "not the label"),
        ({"task": "ranking"}, "task must be one of"),
        ({"missing": "impute"}, "missing must be one of"),
        ({"min_rows": 0}, "min_rows must be >= 1"),
        ({"max_rows": 1}, "max_rows 1 is below min_rows 2"),
        ({"max_failed_share": 1.5}, "in 0..1"),
        ({"hparams": {"depth": object()}}, "JSON values only"),
    ],
)
def test_nonsense_is_refused_at_once(change, message):
    with pytest.raises(BeamfleetError, match=message):
        config_of(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "salary"}, r"\['salary'\] .* not in the schema"),
        ({"entity": ("town", "city")}, r"\['town'\] .* not in the schema"),
        ({"task": "regression"}, "holds words; regression needs a number"),
        ({"entity": ("city", "age", "job")}, "no feature besides"),
    ],
)
def test_a_schema_that_does_not_fit_is_named(change, message):
    with pytest.raises(BeamfleetError, match=message):
        TrainingColumns.of_schema(schema_of(), config_of(**change))


def test_columns_out_of_use_are_no_features():
    schema = schema_of()
    for feature in schema.feature:
        if feature.name == "age":
            feature.lifecycle_stage = 5  # DEPRECATED
    columns = TrainingColumns.of_schema(schema, config_of())
    assert columns.features and "age" not in dict(columns.features)
    schema.feature[3].lifecycle_stage = 5
    with pytest.raises(BeamfleetError, match=r"are DEPRECATED in the schema: name others"):
        TrainingColumns.of_schema(schema, config_of())


def test_decimal_classes_are_refused():
    schema = schema_of()
    schema.feature[3].type = 3
    with pytest.raises(BeamfleetError, match="decimal numbers; classification needs"):
        TrainingColumns.of_schema(schema, config_of())


@pytest.mark.parametrize(("kind", "name"), [(1, "string"), (2, "int64"), (3, "double")])
def test_the_spec_knows_the_types_of_the_entity_columns(kind, name):
    schema = schema_of()
    [city] = [feature for feature in schema.feature if feature.name == "city"]
    city.type = kind
    spec = TrainingColumns.of_schema(schema, config_of()).spec(frozenset({"low"}))
    assert spec.entities == (("city", name),)


def test_the_label_domain_may_be_shared_by_name():
    schema = schema_of()
    schema.string_domain.add(name="bands").value.extend(["low", "high"])
    schema.feature[3].domain = "bands"
    columns = TrainingColumns.of_schema(schema, config_of())
    assert columns.spec(frozenset({"low"})).classes == ("high", "low")
