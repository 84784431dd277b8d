"""The nodes in a TFX pipeline, run again after each kind of change."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from components.errors import BeamfleetError
from tests.components.feature_computer import shop

pytestmark = pytest.mark.e2e
SERVICE = "shop_features.returned"


def run(folder: Path) -> None:
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    from components.feature_computer.component import FeatureComputer
    from components.feature_example_gen.component import FeatureExampleGen
    from components.feature_example_gen.config import FeatureExamplesConfig

    shop.forget()
    store = str(folder / "store")
    config = FeatureExamplesConfig(SERVICE, {"eval": "2024-01-02T12:00"}, "2024-01-03")
    computer = FeatureComputer(SERVICE, store, config.as_of)
    example_gen = FeatureExampleGen(config, store, computer.outputs["views"])
    LocalDagRunner().run(
        pipeline.Pipeline(
            "features",
            str(folder / "root"),
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(folder / "metadata.db")
            ),
            components=[computer, example_gen],
            enable_cache=True,
        )
    )


def made(folder: Path) -> tuple[int, int]:
    """How many FeatureViews and Examples have ever been made."""
    return len(artifacts(folder, "FeatureViews")), len(artifacts(folder, "Examples"))


def artifacts(folder: Path, kind: str) -> list[Any]:
    from tfx.orchestration import metadata

    config = metadata.sqlite_metadata_connection_config(str(folder / "metadata.db"))
    with metadata.Metadata(config) as handle:
        found = handle.store.get_artifacts_by_type(kind)
    return sorted(found, key=lambda one: one.id)


def test_it_runs_again_exactly_when_something_has_changed(project: Path) -> None:
    run(project)
    assert made(project) == (1, 1)
    run(project)
    assert made(project) == (1, 1)
    os.utime(project / "data" / "returns" / "part.parquet")  # labels: no view reads them
    run(project)
    assert made(project) == (1, 2)
    os.utime(project / "data" / "buys" / "part.parquet")
    run(project)
    assert made(project) == (2, 3)
    shop.change(project, "max=1000", "max=1001")
    run(project)
    assert made(project) == (3, 4)
    shop.change(project, "LEAST = 0", "LEAST = 1")
    with pytest.raises(BeamfleetError, match=r"spend.*version"):
        run(project)
    shop.change(project, "version=1", "version=2")
    shop.change(project, 'request={"price": float}', 'request={"price": float}, version=2')
    shop.change(project, 'boundary="strict"', 'boundary="strict", version=2')
    run(project)
    run(project)
    assert made(project)[1] == 5
    _check_what_is_said(artifacts(project, "Examples")[-1])


def _check_what_is_said(examples: Any) -> None:
    from components.feature_vectors.trained_with import read_trained_with, trained_with

    trained = trained_with(read_trained_with(examples.uri))
    assert (trained.features, trained.service, trained.version) == (SERVICE, "returned", 2)
    assert trained.declared().version == 2 and set(trained.fitted) == {"mean_1h"}
    assert (Path(trained.store) / "registry.db").is_file()
    said = examples.custom_properties
    words = {
        name: said[name].string_value for name in ("feature_service", "feature_views", "as_of")
    }
    assert words == {
        "feature_service": "returned",
        "feature_views": "spend v2",
        "as_of": "2024-01-03",
    }
    assert said["feature_version"].int_value == 2 and len(said["definition"].string_value) == 64
    counts = {n: v.int_value for n, v in said.items() if n.startswith("rows_")}
    assert counts["rows_in"] == sum(counts.values()) - counts["rows_in"] > 200
    assert json.loads(examples.properties["split_names"].string_value) == ["train", "eval"]
    assert said["payload_format"].string_value == "FORMAT_PARQUET"
