"""Images, statistics, schema and anomalies in a TFX pipeline; and when the cache is right."""

import json
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.components.example_gen.test_component import artifacts
from tests.components.image_example_gen.test_ingest import Handler, many
from tests.components.images.pictures import bad_files, write_files

pytestmark = pytest.mark.e2e


def run(folder: Path, nodes: list[Any]) -> None:
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    config = metadata.sqlite_metadata_connection_config(str(folder / "metadata.db"))
    LocalDagRunner().run(
        pipeline.Pipeline(
            "images",
            str(folder / "root"),
            metadata_connection_config=config,
            components=nodes,
            enable_cache=True,
            beam_pipeline_args=["--runner=FnApiRunner"],
        )
    )


def nodes(*images: object) -> list[Any]:
    from tfx.components.schema_gen.component import SchemaGen

    from components.example_validator.component import ExampleValidator
    from components.image_example_gen.component import ImageExampleGen
    from components.images.fetch import FetchLimits
    from components.statistics_gen.component import StatisticsGen

    limits = FetchLimits(max_bytes=60_000, allow_private=True)
    example_gen = ImageExampleGen([str(image) for image in images], limits=limits)
    statistics_gen = StatisticsGen(example_gen.outputs["examples"])
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = SchemaGen(statistics)
    validator = ExampleValidator(statistics, schema_gen.outputs["schema"])
    return [example_gen, statistics_gen, schema_gen, validator]


def counts(artifact: Any) -> dict[str, int]:
    properties = artifact.custom_properties.items()
    return {name: value.int_value for name, value in properties if name.startswith("rows_")}


def test_folder_to_anomalies_and_the_cache(tmp_path: Path) -> None:
    import tensorflow_data_validation as tfdv
    from tfx.components.util.tfxio_utils import make_tfxio

    folder = many(tmp_path / "photos", 40)
    lines = "".join(f"{n:04}.png,image {n},{n % 3}\n" for n in range(30))
    write_files(folder, {"captions.csv": f"file,caption,kind\n{lines}".encode()})
    write_files(folder, {name: content for name, (content, _) in bad_files().items()})
    run(tmp_path, nodes(folder))
    found = artifacts(tmp_path)
    [examples] = found["Examples"]
    assert counts(examples) == {
        "rows_in": 40 + len(bad_files()),
        "rows_rejected": len(bad_files()),
        "rows_images": 40,
    }
    notes = examples.custom_properties["notes"].string_value
    assert f"reference captions for 30 of {40 + len(bad_files())} files" in notes
    assert json.loads(examples.properties["split_names"].string_value) == ["images"]
    assert pq.read_metadata(Path(examples.uri, "rejects.parquet")).num_rows == len(bad_files())

    [statistics] = found["ExampleStatistics"]
    file = f"{statistics.uri}/Split-images/FeatureStats.pb"
    [dataset] = tfdv.load_stats_binary(file).datasets
    features = {feature.path.step[0]: feature for feature in dataset.features}
    assert dataset.num_examples == 40
    assert features["brightness"].num_stats.max == 39
    assert features["image"].bytes_stats.common_stats.num_non_missing == 40
    assert features["reference"].string_stats.common_stats.num_missing == 10
    [schema] = found["Schema"]
    text = next(Path(schema.uri).iterdir()).read_text()
    assert all(f'name: "{name}"' in text for name in features)
    [anomalies] = found["ExampleAnomalies"]
    assert anomalies.custom_properties["anomalies"].int_value == 0
    tfxio = make_tfxio(f"{examples.uri}/Split-images/*", ["test"], "FORMAT_PARQUET")
    assert {*features} == {*tfxio.ArrowSchema().names}

    run(tmp_path, nodes(folder))
    assert len(artifacts(tmp_path)["Examples"]) == 1
    (folder / "cut.png").unlink()
    run(tmp_path, nodes(folder))
    _, newest = artifacts(tmp_path)["Examples"]
    assert counts(newest)["rows_rejected"] == len(bad_files()) - 1


def test_addresses_are_fetched_anew_each_time(tmp_path: Path) -> None:
    many(tmp_path / "www", 2)
    handler = partial(Handler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/0000.png"
        for times in (1, 2):
            run(tmp_path, nodes(url, tmp_path / "www")[:1])
            assert len(artifacts(tmp_path)["Examples"]) == times
        server.shutdown()


def test_arguments() -> None:
    from components.image_example_gen.component import ImageExampleGen
    from components.image_example_gen.config import ImageSource

    node = ImageExampleGen("photos", references="captions.csv", max_rejected_share=0.5)
    source = ImageSource.from_json(node.exec_properties["source"])
    assert source == ImageSource(("photos",), "captions.csv", max_rejected_share=0.5)
    with pytest.raises(ValueError, match="images must name"):
        ImageExampleGen([])
