"""What the executor does with anomalies; finding them is tested with the statistics."""

from pathlib import Path
from typing import Any

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
    for name, artifact in (("s", statistics), ("schema", schema), ("a", anomalies)):
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
    assert (tmp_path / "a" / "Split-train" / "SchemaDiff.pb").exists()


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
