"""Pusher and BulkInferrer under TFX's launcher: drivers, cache and custom properties."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.infer import ServedModel, infer
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from components.pusher.versions import PushedVersions
from tests.components.bulk_inferrer.data import (
    POISON,
    make_examples,
    make_models,
    make_pipeline,
    rows,
)

pytestmark = pytest.mark.e2e


def _importer(name: str, kind: type, uri: Path, **properties: Any) -> Any:
    from tfx.dsl.components.common.importer import Importer

    custom = properties.pop("custom", {})
    return Importer(
        source_uri=str(uri), artifact_type=kind, properties=properties, custom_properties=custom
    ).with_id(name)


def _pipeline(root: Path, model: Path, blessed: int, infra: int) -> Any:
    from tfx.orchestration import metadata, pipeline
    from tfx.types import standard_artifacts as kinds

    from components.bulk_inferrer.component import BulkInferrer
    from components.pusher.component import Pusher

    pushed = str(root / "pushed")
    composed = {"candidate_uri": f"trained {model.name}"}
    verdict = {"blessed": blessed, "reason": "worse than version 1"}
    infra_verdict = {"blessed": infra, "reason": "p99 was 900 ms"}
    payload = {"payload_format": "FORMAT_PARQUET"}
    nodes = {
        "model": _importer("Composed", kinds.Model, model, custom=composed),
        "model_blessing": _importer("Bless", kinds.ModelBlessing, root, custom=verdict),
        "infra_blessing": _importer("Infra", kinds.InfraBlessing, root, custom=infra_verdict),
    }
    examples = _importer(
        "Unlabelled",
        kinds.Examples,
        root / "examples",
        split_names='["unlabelled"]',
        custom=payload,
    )
    inputs = {key: node.outputs["result"] for key, node in nodes.items()}
    pusher = Pusher(push_destination=pushed, **inputs)
    inferrer = BulkInferrer(
        examples=examples.outputs["result"],
        model=inputs["model"],
        pushed_model=pusher.outputs["pushed_model"],
        push_destination=pushed,
    )
    return pipeline.Pipeline(
        pipeline_name="push",
        pipeline_root=str(root / "root"),
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / "db")),
        components=[*nodes.values(), examples, pusher, inferrer],
        enable_cache=True,
        beam_pipeline_args=["--runner=FnApiRunner"],
    )


def _run(root: Path, model: Path, blessed: int = 1, infra: int = 1) -> tuple[dict, dict, str]:
    """Custom properties of the newest PushedModel and InferenceResult, and the latter's folder."""
    from ml_metadata import metadata_store
    from tfx.orchestration import metadata
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    LocalDagRunner().run(_pipeline(root, model, blessed, infra))
    store = metadata_store.MetadataStore(
        metadata.sqlite_metadata_connection_config(str(root / "db"))
    )
    pushed, result = (
        store.get_artifacts_by_type(name)[-1] for name in ("PushedModel", "InferenceResult")
    )
    return _properties(pushed), _properties(result), result.uri


def _properties(artifact: Any) -> dict[str, Any]:
    return {
        key: getattr(value, value.WhichOneof("value"))
        for key, value in artifact.custom_properties.items()
    }


def test_push_and_infer_under_the_launcher(tmp_path):
    pushed = PushedVersions(str(tmp_path / "pushed"))
    one, two = (
        Path(make_models(tmp_path / name, entities))
        for name, entities in (("one", ["Masters"]), ("two", ["Bachelors", "Masters"]))
    )
    make_examples(tmp_path / "examples", rows(["Masters", "Other"], [0.5, 1.0]))

    refused, skipped, _ = _run(tmp_path, one, blessed=0, infra=0)
    assert refused["pushed"] == 0
    assert refused["reason"] == (
        "the model is not blessed: worse than version 1; "
        "the infrastructure is not blessed: p99 was 900 ms"
    )
    assert skipped["rows"] == 0
    assert "nothing was pushed" in skipped["skipped"]
    assert pushed.current() is None

    first, result, uri = _run(tmp_path, one)
    assert (first["pushed"], first["version"], first["pushed_version"]) == (1, 1, "1")
    assert first["pushed_destination"] == pushed.directory
    assert pushed.current().details["candidate_uri"] == "trained one"
    assert {key: result[key] for key in ("rows_in", "rows", "rows_failed", "rows_fallback")} == {
        "rows_in": 2, "rows": 2, "rows_failed": 0, "rows_fallback": 1
    }  # fmt: skip
    predictions = pq.read_table(f"{uri}/predictions")
    assert predictions.column("prediction").to_pylist() == [">50K", "<=50K"]
    assert predictions.column("model_version").to_pylist() == [1, 1]

    assert _run(tmp_path, one)[2] == uri  # served from the cache

    second, result, uri = _run(tmp_path, two)
    assert (second["version"], result["model_version"]) == (2, 2)
    assert pq.read_table(f"{uri}/predictions").column("prediction").to_pylist() == [
        "<=50K", "<=50K"
    ]  # fmt: skip

    pushed.rollback()
    same, result, _ = _run(tmp_path, two)  # nothing is pushed again after a rollback
    assert result["model_version"] == 1
    assert pushed.current().number == 1
    assert same == second


def _tf_example(row: dict[str, Any]) -> bytes:
    import tensorflow as tf

    example = tf.train.Example()
    for name, value in row.items():
        feature = example.features.feature[name]
        if isinstance(value, str):
            feature.bytes_list.value.append(value.encode())
        elif value is not None:
            feature.float_list.value.append(value)
    return example.SerializeToString()


def test_tf_examples_are_read_too(tmp_path):
    import tensorflow as tf

    table = rows(["Masters", "Größe", None] * 20, [0.5, 41.0, 1.0] * 19 + [POISON, 41.0, 1.0])
    split = tmp_path / "examples" / "Split-all"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "data-0.gz"), options="GZIP") as writer:
        for row in table.to_pylist():
            writer.write(_tf_example(row))
    models = ServedModel(make_models(tmp_path / "models", ["Masters"]))
    config = InferenceConfig(output_columns=("id",), payload=True, max_failed_share=1.0)
    source = ExamplesSplit(str(tmp_path / "examples"), "all", "FORMAT_TF_EXAMPLE")
    summary = infer(make_pipeline, [source], models, str(tmp_path / "result"), config)
    assert (summary.rows_in, summary.rows, summary.rows_failed) == (60, 39, 21)
    letters = pq.read_table(tmp_path / "result/dead_letters").to_pylist()
    [poisoned] = [letter for letter in letters if letter["entity"] == "Masters"]
    assert json.loads(poisoned["payload"])["id"] == "id-57"
    assert (poisoned["file"], poisoned["row"]) == (None, None)


def test_inferrer_needs_models():
    from tfx.types import channel, standard_artifacts

    from components.bulk_inferrer.component import BulkInferrer

    with pytest.raises(BeamfleetError, match="push_destination"):
        BulkInferrer(examples=channel.Channel(type=standard_artifacts.Examples))
