"""The TFX side, with the probe replaced."""

from pathlib import Path
from typing import Any

import pytest

from components.infra_validator.report import ENSEMBLE_GATES, Gates, Report

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("reasons", [[], ["p99 of 200 requests is 300 ms", "too large"]])
def test_the_verdict_is_published(
    reasons: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from tfx.components.util import examples_utils
    from tfx.types import standard_artifacts

    from components.infra_validator import executor

    artifacts: dict[str, Any] = {
        "model": standard_artifacts.Model(),
        "examples": standard_artifacts.Examples(),
        "blessing": standard_artifacts.InfraBlessing(),
    }
    for name, artifact in artifacts.items():
        artifact.uri = str(tmp_path / name)
    examples_utils.set_payload_format(
        artifacts["examples"], examples_utils.example_gen_pb2.FORMAT_PARQUET
    )
    seen: list[Any] = []

    def fake_probe(uri: str, batches: Any, gates: Gates) -> Report:
        seen.extend([uri, gates])
        return Report(gates, reasons, startup={"startup_s": 0.25}, requests={"p99_ms": 9.5})

    monkeypatch.setattr(executor, "probe", fake_probe)
    executor.Executor().Do(
        {name: [artifacts[name]] for name in ("model", "examples")},
        {"blessing": [artifacts["blessing"]]},
        {"max_startup_s": 5.0, "max_p99_ms": 100.0, "requests": 50, "split": "eval"},
    )
    blessing = artifacts["blessing"]
    assert seen == [str(tmp_path / "model"), Gates(5.0, 100.0, None, 50)]
    marker = "INFRA_NOT_BLESSED" if reasons else "INFRA_BLESSED"
    assert {path.name for path in Path(blessing.uri).iterdir()} == {marker, "report.json"}
    assert blessing.get_int_custom_property("blessed") == int(not reasons)
    assert blessing.get_float_custom_property("p99_ms") == 9.5
    assert blessing.get_string_custom_property("reason") == "; ".join(reasons)


def test_the_component_refuses_nonsense_and_keeps_its_parameters():
    from tfx.types import channel, standard_artifacts

    from components.errors import BeamfleetError
    from components.infra_validator.component import InfraValidator

    inputs: dict[str, Any] = {
        "model": channel.Channel(standard_artifacts.Model),
        "examples": channel.Channel(standard_artifacts.Examples),
    }
    node = InfraValidator(**inputs, max_p99_ms=50)
    assert node.exec_properties["max_p99_ms"] == 50.0
    assert node.exec_properties.get("max_rss_mb") is None
    with pytest.raises(BeamfleetError, match="requests"):
        InfraValidator(**inputs, requests=0)
    assert InfraValidator(**inputs, requests=7).exec_properties["requests"] == 7
    for limit in ("max_startup_s", "max_p99_ms", "requests", "split"):
        assert InfraValidator(**inputs).exec_properties.get(limit) is None


@pytest.mark.parametrize(
    ("splits", "wanted", "read"),
    [
        (["images"], None, "images"),
        (["train", "eval"], None, "eval"),
        (["train", "images"], "images", "images"),
    ],
)
def test_the_images_of_an_ensemble_are_read_as_many_as_asked_for(
    splits: list[str],
    wanted: str | None,
    read: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    import pyarrow.parquet as pq
    from tfx.components.util import examples_utils
    from tfx.types import artifact_utils, standard_artifacts

    from components.infra_validator import executor
    from tests.components.model_server.ensembles import image_examples, picture

    artifacts: dict[str, Any] = {
        "model": standard_artifacts.Model(),
        "examples": standard_artifacts.Examples(),
        "blessing": standard_artifacts.InfraBlessing(),
    }
    for name, artifact in artifacts.items():
        artifact.uri = str(tmp_path / name)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "ensemble.json").touch()
    artifacts["examples"].split_names = artifact_utils.encode_split_names(splits)
    examples_utils.set_payload_format(
        artifacts["examples"], examples_utils.example_gen_pb2.FORMAT_PARQUET
    )
    folder = tmp_path / "examples" / f"Split-{read}"
    folder.mkdir(parents=True)
    pq.write_table(image_examples(5), folder / "part.parquet")
    seen: list[Any] = []

    def fake_probe(uri: str, batches: Any, gates: Gates) -> Report:
        seen.append((list(batches), gates))
        return Report(gates)

    monkeypatch.setattr(executor, "probe", fake_probe)
    executor.Executor().Do(
        {name: [artifacts[name]] for name in ("model", "examples")},
        {"blessing": [artifacts["blessing"]]},
        {"requests": 2, **({"split": wanted} if wanted else {})},
    )
    [(batches, gates)] = seen
    assert gates == Gates(ENSEMBLE_GATES.max_startup_s, ENSEMBLE_GATES.max_p99_ms, None, 2)
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    assert batches[0].to_pylist()[0] == {
        "image_uri": "0.png",
        "image": picture(20),
        "objects": 0,
    }
