from pathlib import Path

import pyarrow as pa
import pytest

from components.entity_models.store import EntityModels
from components.errors import BeamfleetError
from components.infra_validator.sample import sample_rows
from tests.components.infra_validator.serving_models import Constant
from tests.components.model_server.stores import rows, write_store


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> EntityModels:
    folder = tmp_path_factory.mktemp("sample")
    return EntityModels(write_store(folder, {"Masters": Constant()}, Constant()))


def test_every_entity_comes_before_one_comes_twice(models: EntityModels):
    keys = ["a"] * 50 + [None] + ["b"] * 20 + ["c"]
    table = rows(len(keys)).set_column(0, "education", pa.array(keys, pa.string()))
    sample, unseen = sample_rows(table.to_batches(), models, 10)
    assert sample.column("education").to_pylist() == [
        *"abc",
        *"ab",
        *"ab",
        *"ab",
        "no such education 0",
    ]
    assert unseen == 1
    assert sample.column_names == ["education", "age", "workclass", "hours"]


def test_without_a_fallback_there_are_no_strangers(tmp_path: Path):
    models = EntityModels(write_store(tmp_path, {"Masters": Constant()}, None))
    sample, unseen = sample_rows(rows(20).to_batches(), models, 10)
    assert (sample.num_rows, unseen) == (10, 0)


def test_fewer_rows_than_asked_for(models: EntityModels):
    sample, unseen = sample_rows(rows(4).to_batches(), models, 200)
    assert (sample.num_rows, unseen) == (8, 4)


def test_strangers_have_the_type_of_the_key(models: EntityModels):
    table = rows(20).set_column(0, "education", pa.array(range(20)))
    sample, _ = sample_rows(table.to_batches(), models, 10)
    assert sample.column("education").to_pylist()[-1] < 0


def test_a_missing_column_is_named(models: EntityModels):
    with pytest.raises(BeamfleetError, match="hours"):
        sample_rows(rows(5).drop_columns(["hours"]).to_batches(), models, 10)


def test_rows_without_keys_are_no_sample(models: EntityModels):
    table = rows(5).set_column(0, "education", pa.nulls(5, pa.string()))
    with pytest.raises(BeamfleetError, match="no rows"):
        sample_rows(table.to_batches(), models, 10)
