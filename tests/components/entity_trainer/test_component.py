"""The TFX component on artifacts."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

from components.errors import BeamfleetError
from components.feature_registry import Registry
from components.feature_vectors.trained_with import write_trained_with
from tests.components.entity_trainer.training import HERE, people, schema_of, table_of
from tests.components.model_server.featured import fraud, trained

pytestmark = pytest.mark.e2e


@pytest.fixture
def artifacts(tmp_path):
    from tfx.types import standard_artifacts

    split = tmp_path / "examples" / "Split-train"
    split.mkdir(parents=True)
    table = table_of(people("x", 9) + people("y", 7) + people("z", 1))
    lists = [
        pa.array([None if v is None else [v] for v in c.to_pylist()], pa.list_(c.type))
        for c in table.columns
    ]
    pq.write_table(pa.table(lists, names=table.column_names), split / "data.parquet")
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema_of()))
    examples, schema = standard_artifacts.Examples(), standard_artifacts.Schema()
    model = standard_artifacts.Model()
    examples.uri, schema.uri = str(tmp_path / "examples"), str(tmp_path / "schema")
    model.uri = str(tmp_path / "model")
    examples.split_names = '["train"]'
    examples.set_string_custom_property("payload_format", "FORMAT_PARQUET")
    examples.set_int_custom_property("rows_train", 17)
    return examples, schema, model


def test_the_executor_trains_from_what_the_component_says(artifacts, tmp_path):
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import channel_utils

    from components.entity_models.store import EntityModels
    from components.entity_trainer.component import EntityTrainer
    from components.entity_trainer.executor import Executor

    examples, schema, model = artifacts
    Registry(tmp_path / "registry.db").apply([fraud])
    write_trained_with(examples.uri, trained(tmp_path))
    examples.set_int_custom_property("training_set", 4)
    trainer = EntityTrainer(
        channel_utils.as_channel([examples]),
        channel_utils.as_channel([schema]),
        f"{HERE}.constant",
        ["city"],
        "income",
        hparams={"b": 2, "a": 1},
        min_rows=2,
    )
    properties = dict(trainer.exec_properties)
    assert json.loads(properties["hparams"]) == {"a": 1, "b": 2}
    assert len(properties["code_fingerprint"]) == 64
    executor = Executor(BaseBeamExecutor.Context(beam_pipeline_args=["--runner=FnApiRunner"]))
    inputs = {"examples": [examples], "schema": [schema]}
    executor.Do(inputs, {"model": [model]}, properties)
    assert model.get_int_custom_property("rows_in") == 17
    assert model.get_int_custom_property("entities_trained") == 2
    assert model.get_int_custom_property("entities_small") == 1
    store = EntityModels(model.uri)
    assert store.spec.service == trained(tmp_path).to_text()
    [linked] = Registry(tmp_path / "registry.db").trainings("fraud")
    assert (linked.model, linked.split_version) == (model.uri, 4)
    assert store.model("x")[0].seen["hparams"] == {"a": 1, "b": 2}
    properties["train_split"] = "training"
    with pytest.raises(BeamfleetError, match="no split 'training'; its splits are"):
        executor.Do(inputs, {"model": [model]}, properties)
