"""What the executor does with anomalies; finding them is tested with the statistics."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import BeamfleetError

pytestmark = pytest.mark.e2e


@pytest.fixture
def artifacts(tmp_path: Path) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    from tensorflow_metadata.proto.v0 import statistics_pb2
    from tfx.types import standard_artifacts

    from components.statistics_gen.compute import write_statistics

    statistics, schema = standard_artifacts.ExampleStatistics(), standard_artifacts.Schema()
    anomalies = standard_artifacts.ExampleAnomalies()
    for name, artifact in (
        ("s", statistics),
        ("schema", schema),
        ("root/artifacts/Validator/anomalies/7", anomalies),
    ):
        artifact.uri = str(tmp_path / name)
    statistics.split_names = '["train", "eval"]'
    # The launcher writes it; it tells the split folders' naming from that of old TFX.
    statistics.set_string_custom_property("tfx_version", "1.21.0")
    anomalies.set_string_custom_property("tfx_version", "1.21.0")
    found = statistics_pb2.DatasetFeatureStatisticsList()
    found.datasets.add(num_examples=10)
    for split in ("train", "eval"):
        write_statistics(found, str(tmp_path / "s" / f"Split-{split}"))
    (tmp_path / "schema").mkdir()
    needed = 'feature { name: "age" type: INT presence { min_fraction: 1.0 min_count: 1 } }'
    (tmp_path / "schema" / "schema.pbtxt").write_text(needed)
    return {"statistics": [statistics], "schema": [schema]}, {"anomalies": [anomalies]}


def test_stop_names_the_anomalies_and_leaves_the_files(
    artifacts: tuple[dict[str, list[Any]], dict[str, list[Any]]], tmp_path: Path
) -> None:
    from components.example_validator.executor import Executor

    with pytest.raises(BeamfleetError, match=r"2 anomalies(.|\n)*split eval, column 'age'"):
        Executor().Do(*artifacts, {"on_anomaly": "stop"})
    assert list(tmp_path.glob("root/artifacts/Validator/*/7/Split-train/SchemaDiff.pb"))


def test_warn_counts_them(
    artifacts: tuple[dict[str, list[Any]], dict[str, list[Any]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from components.example_validator.executor import Executor

    Executor().Do(*artifacts, {"on_anomaly": "warn"})
    [anomalies] = artifacts[1]["anomalies"]
    assert anomalies.get_int_custom_property("anomalies") == 2
    assert anomalies.get_json_value_custom_property("blessed") == {"train": 0, "eval": 0}
    assert "column 'age'" in caplog.text


def test_on_anomaly_is_stop_or_warn() -> None:
    from tfx.types import channel, standard_artifacts

    from components.example_validator.component import ExampleValidator

    with pytest.raises(ValueError, match="'stop' or 'warn'"):
        ExampleValidator(
            channel.Channel(type=standard_artifacts.ExampleStatistics),
            channel.Channel(type=standard_artifacts.Schema),
            on_anomaly="ignore",
        )


def reviewing(
    artifacts: tuple[dict[str, list[Any]], dict[str, list[Any]]], on_anomaly: str, **properties: Any
) -> None:
    """Runs the executor as the launcher does in the run `20260101-000000`."""
    from tfx.dsl.components.base.base_executor import BaseExecutor

    from components.example_validator.executor import Executor

    context = BaseExecutor.Context(pipeline_run_id="20260101-000000")
    Executor(context).Do(*artifacts, {"on_anomaly": on_anomaly, "reviewed": 1, **properties})


def test_what_a_stopped_run_found_outlives_its_outputs(
    artifacts: tuple[dict[str, list[Any]], dict[str, list[Any]]], tmp_path: Path
) -> None:
    from components.example_validator.proposal import read_proposal
    from components.example_validator.stopped import find_stopped

    [anomalies] = artifacts[1]["anomalies"]
    with pytest.raises(BeamfleetError) as stopped:
        reviewing(artifacts, "stop")
    shutil.rmtree(anomalies.uri)  # as TFX's launcher does
    node = tmp_path / "root" / "artifacts" / "Validator"
    folder, found = find_stopped(node, "20260101-000000")
    assert folder == str(node / "stopped" / "7") and folder in str(stopped.value)
    assert found["anomalies"] == 2 and found["proposed"] == ["age"]
    assert f"schema diff 20260101-000000 --root {tmp_path}/root\n" in str(stopped.value)
    schema = read_proposal(folder)
    assert schema is not None and schema.feature[0].lifecycle_stage  # DEPRECATED
    assert Path(folder, "proposal", "changes.diff").read_text().startswith("column 'age': no row")
    assert Path(folder, "Split-eval", "SchemaDiff.pb").exists()
    assert find_stopped(node, "20260101-000001") == ("", {})


def test_an_inferred_schema_is_not_reviewed(
    artifacts: tuple[dict[str, list[Any]], dict[str, list[Any]]], tmp_path: Path
) -> None:
    reviewing(artifacts, "warn", reviewed=0)
    [anomalies] = artifacts[1]["anomalies"]
    assert anomalies.get_string_custom_property("proposed") == "[]"
    assert not Path(anomalies.uri, "proposal").exists()


def test_checks_are_anomalies_like_others(
    artifacts: tuple[dict[str, list[Any]], dict[str, list[Any]]], tmp_path: Path
) -> None:
    from tensorflow_data_validation.utils.display_util import get_anomalies_dataframe
    from tensorflow_metadata.proto.v0 import anomalies_pb2
    from tfx.types import standard_artifacts

    from components.example_validator.expressions import Checks

    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "e")
    examples.set_string_custom_property("payload_format", "FORMAT_PARQUET")
    for split, ages in (("train", [[17], [90]]), ("eval", [[18], [None]])):
        (tmp_path / "e" / f"Split-{split}").mkdir(parents=True)
        table = pa.table({"age": pa.array(ages, pa.list_(pa.int64()))})
        pq.write_table(table, tmp_path / "e" / f"Split-{split}" / "data.parquet")
    artifacts[0]["examples"] = [examples]
    checks = Checks({"grown up": "min(age) >= 18"}, {"alive": "age < 120"}).to_json()
    reviewing(artifacts, "warn", checks=checks)
    [anomalies] = artifacts[1]["anomalies"]
    found = [line for line in anomalies.get_json_value_custom_property("found") if "check" in line]
    assert found == [
        "split train: check 'grown up': min(age) >= 18 is false",
        "split eval: check 'alive': age < 120 is NULL for 1 of 2 rows: row 2 of data.parquet "
        "(age = NULL)",
    ]
    content = Path(anomalies.uri, "Split-train", "SchemaDiff.pb").read_bytes()
    kept = anomalies_pb2.Anomalies.FromString(content)
    [reason] = kept.dataset_anomaly_info.reason
    assert (reason.short_description, reason.type) == ("grown up", 86)  # CUSTOM_VALIDATION
    assert "grown up" in get_anomalies_dataframe(kept).to_string()


def test_a_deprecated_column_is_not_required_and_said_while_it_is_there(
    artifacts: tuple[dict[str, list[Any]], dict[str, list[Any]]], tmp_path: Path
) -> None:
    import pandas as pd
    import tensorflow_data_validation as tfdv

    from components.statistics_gen.compute import write_statistics

    schema = tmp_path / "schema" / "schema.pbtxt"
    schema.write_text(
        'feature { name: "age" type: INT lifecycle_stage: DEPRECATED presence { min_count: 1 } }'
    )
    reviewing(artifacts, "stop")
    [anomalies] = artifacts[1]["anomalies"]
    assert not anomalies.has_custom_property("notes")
    rows = tfdv.generate_statistics_from_dataframe(pd.DataFrame({"age": ["old", "older"]}))
    write_statistics(rows, str(tmp_path / "s" / "Split-train"))
    reviewing(artifacts, "stop")
    assert "column 'age' is DEPRECATED" in anomalies.get_string_custom_property("notes")


def test_rows_that_do_not_fit_a_reviewed_type_say_where_it_stands(tmp_path: Path) -> None:
    from tfx.types import standard_artifacts

    from components.example_gen.executor import Executor
    from components.example_gen.files import find_files
    from components.example_gen.source import CsvSource, IngestConfig

    (tmp_path / "rows.csv").write_text("fare\n1.5\n2.5\n")
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text('feature { name: "fare" type: INT }')
    config = IngestConfig(CsvSource((str(tmp_path / "rows.csv"),)))
    schema, examples = standard_artifacts.Schema(), standard_artifacts.Examples()
    schema.uri, examples.uri = str(tmp_path / "schema"), str(tmp_path / "e")
    fingerprint = find_files(config).fingerprint
    properties = {"source": config.to_json(), "input_fingerprint": fingerprint}
    with pytest.raises(BeamfleetError, match=r"types of fare are those of the schema: if the rows"):
        Executor().Do({"schema": [schema]}, {"examples": [examples]}, properties)
