"""The nodes from files to anomalies in a TFX pipeline, twice: the second run adds nodes."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import BeamfleetError
from components.example_gen.source import CsvSource, IngestConfig

pytestmark = pytest.mark.e2e

ROWS = "".join(f"{i % 50 + 18}, {'ab'[i % 2]}, {i}\n" for i in range(300))


@pytest.fixture(scope="module")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "data").mkdir()
    (folder / "data" / "rows.csv").write_text(ROWS)
    return folder


@pytest.fixture(scope="module")
def first_run(pipeline_folder: Path) -> dict[str, list[Any]]:
    run(pipeline_folder, [make_example_gen(pipeline_folder)])
    return artifacts(pipeline_folder)


def make_example_gen(folder: Path) -> Any:
    from components.example_gen.component import ExampleGen

    source = CsvSource((str(folder / "data"),), columns=("age", "word", "number"))
    return ExampleGen(IngestConfig(source, clean="tests.components.example_gen.clean.upper_words"))


def run(folder: Path, nodes: list[Any]) -> None:
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    config = metadata.sqlite_metadata_connection_config(str(folder / "metadata.db"))
    LocalDagRunner().run(
        pipeline.Pipeline(
            "ingest",
            str(folder / "root"),
            metadata_connection_config=config,
            components=nodes,
            enable_cache=True,
        )
    )


def artifacts(folder: Path) -> dict[str, list[Any]]:
    from tfx.orchestration import metadata

    config = metadata.sqlite_metadata_connection_config(str(folder / "metadata.db"))
    with metadata.Metadata(config) as handle:
        return {
            t.name: handle.store.get_artifacts_by_type(t.name)
            for t in handle.store.get_artifact_types()
        }


def all_nodes(folder: Path, schema_uri: str | None = None) -> list[Any]:
    from tfx.components.schema_gen.component import SchemaGen
    from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen

    from components.example_validator.component import ExampleValidator
    from components.statistics_gen.component import StatisticsGen

    example_gen = make_example_gen(folder)
    statistics_gen = StatisticsGen(example_gen.outputs["examples"])
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = ImportSchemaGen(schema_uri) if schema_uri else SchemaGen(statistics)
    validator = ExampleValidator(statistics, schema_gen.outputs["schema"])
    return [example_gen, statistics_gen, schema_gen, validator]


def test_counts_are_on_the_artifact(first_run: dict[str, list[Any]]) -> None:
    [examples] = first_run["Examples"]
    counts = {k: v.int_value for k, v in examples.custom_properties.items() if "rows" in k}
    assert counts["rows_in"] == 300
    assert counts["rows_rejected"] == counts["rows_gap"] == 0
    assert counts["rows_train"] + counts["rows_eval"] == 300
    assert json.loads(examples.properties["split_names"].string_value) == ["train", "eval"]


def test_stock_code_sees_parquet(first_run: dict[str, list[Any]]) -> None:
    from tfx.components.util.examples_utils import get_payload_format_string
    from tfx.types import standard_artifacts

    [stored] = first_run["Examples"]
    examples = standard_artifacts.Examples()
    examples.set_mlmd_artifact(stored)
    assert get_payload_format_string(examples) == "FORMAT_PARQUET"


def test_new_nodes_and_unchanged_files_leave_the_examples_cached(
    pipeline_folder: Path, first_run: dict[str, list[Any]]
) -> None:
    run(pipeline_folder, all_nodes(pipeline_folder))
    found = artifacts(pipeline_folder)
    assert [a.id for a in found["Examples"]] == [a.id for a in first_run["Examples"]]
    [anomalies] = found["ExampleAnomalies"]
    assert anomalies.custom_properties["anomalies"].int_value == 0
    [schema] = found["Schema"]
    text = next(Path(schema.uri).iterdir()).read_text()
    assert 'name: "word"' in text and "type: BYTES" in text


def test_an_anomaly_stops_the_run_and_a_changed_file_is_read_again(
    pipeline_folder: Path, first_run: dict[str, list[Any]]
) -> None:
    curated = pipeline_folder / "schema.pbtxt"
    curated.write_text('feature { name: "age" type: BYTES }')
    (pipeline_folder / "data" / "more.csv").write_text("20, a, 1\n")
    with pytest.raises(BeamfleetError, match="column 'age'"):
        run(pipeline_folder, all_nodes(pipeline_folder, str(curated)))
    newest = max(artifacts(pipeline_folder)["Examples"], key=lambda artifact: artifact.id)
    assert newest.custom_properties["rows_in"].int_value == 301
