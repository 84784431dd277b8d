from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import BeamfleetError
from components.example_validator.validate import (
    SplitStatistics,
    list_anomalies,
    validate_split,
)
from components.examples.read import ExamplesSplit
from components.statistics_gen import compute
from components.statistics_gen.compute import compute_statistics, write_statistics


@pytest.fixture
def examples(tmp_path: Path) -> ExamplesSplit:
    rng = np.random.default_rng(0)
    words = [None if i % 7 == 0 else [f"w{i % 3}"] for i in range(1_000)]
    table = pa.table(
        {
            "word": pa.array(words, pa.list_(pa.string())),
            "number": pa.array([[value] for value in rng.normal(size=1_000)]),
            "nothing": pa.nulls(1_000, pa.list_(pa.string())),
        }
    )
    folder = tmp_path / "examples" / "Split-train"
    folder.mkdir(parents=True)
    pq.write_table(table.slice(0, 600), folder / "1.parquet")
    pq.write_table(table.slice(600), folder / "2.parquet")
    return ExamplesSplit(str(tmp_path / "examples"), "train")


def by_name(statistics: Any) -> dict[str, Any]:
    [dataset] = statistics.datasets
    return {feature.path.step[0]: feature for feature in dataset.features}


def test_batches_and_files_give_what_tfdv_gives_at_once(
    examples: ExamplesSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory

    monkeypatch.setattr(compute, "_BATCH_ROWS", 97)
    found = by_name(compute_statistics(examples))
    table = pq.read_table(f"{examples.uri}/Split-train").combine_chunks()
    expected = by_name(generate_statistics_in_memory(table.to_batches()[0]))
    assert found["word"] == expected["word"]
    assert found["nothing"] == expected["nothing"]
    ours, theirs = found["number"].num_stats, expected["number"].num_stats
    for field in ("mean", "std_dev", "min", "max"):
        assert getattr(ours, field) == pytest.approx(getattr(theirs, field))
    assert found["word"].string_stats.common_stats.num_missing == 143


def test_a_split_that_is_not_there(examples: ExamplesSplit) -> None:
    with pytest.raises(BeamfleetError, match="no split 'eval'"):
        compute_statistics(ExamplesSplit(examples.uri, "eval"))


def test_tfdv_reads_the_files_and_finds_the_anomaly(
    examples: ExamplesSplit, tmp_path: Path
) -> None:
    import tensorflow_data_validation as tfdv

    statistics = compute_statistics(examples)
    write_statistics(statistics, str(tmp_path / "Split-train"))
    [file] = (tmp_path / "Split-train").iterdir()
    assert tfdv.load_stats_binary(str(file)) == statistics
    schema = tfdv.infer_schema(statistics)
    folder = str(tmp_path / "anomalies")
    now = SplitStatistics(str(file))
    assert list_anomalies("train", validate_split(now, schema, folder)) == []

    tfdv.get_domain(schema, "word").value.remove("w1")
    schema.feature.add(name="absent", type=2).presence.min_fraction = 1.0
    anomalies = validate_split(now, schema, folder)
    texts = [str(anomaly) for anomaly in list_anomalies("train", anomalies)]
    assert len(texts) == 2
    assert texts[0].startswith("split train, column 'absent'")
    assert "split train, column 'word': Examples contain values missing from the schema" in texts[1]


def test_raw_bytes_are_counted_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow_data_validation as tfdv

    folder = tmp_path / "Split-images"
    folder.mkdir()
    images = pa.array([[b"\xff"] * 1, None, [], [b"x" * 5_000]] * 10, pa.list_(pa.binary()))
    table = pa.table({"image": images, "name": pa.array([["a"]] * 40)})
    pq.write_table(table, folder / "1.parquet", row_group_size=7)
    pq.write_table(table.drop("image"), folder / "2.parquet")
    pq.write_table(table, folder / "3.parquet")
    read: list[list[str]] = []
    iter_batches = pq.ParquetFile.iter_batches

    def spy(self: Any, rows: int, columns: list[str]) -> Any:
        read.append(columns)
        return iter_batches(self, rows, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    statistics = compute_statistics(ExamplesSplit(str(tmp_path), "images"))
    assert read == [["name"]] * 3
    common = by_name(statistics)["image"].bytes_stats.common_stats
    assert (common.num_non_missing, common.num_missing) == (40, 80)
    assert by_name(statistics)["name"].string_stats.common_stats.num_non_missing == 120
    schema = tfdv.infer_schema(statistics)
    assert tfdv.get_feature(schema, "image").type == 1
    assert not tfdv.validate_statistics(statistics, schema).anomaly_info
    tfdv.get_feature(schema, "image").presence.min_fraction = 1.0
    assert "image" in tfdv.validate_statistics(statistics, schema).anomaly_info


def test_raw_bytes_that_parquet_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "Split-images").mkdir()
    table = pa.table({"image": pa.array([[b"x"]])})
    pq.write_table(table, tmp_path / "Split-images" / "1.parquet", write_statistics=False)
    with pytest.raises(BeamfleetError, match=r"column 'image' holds raw bytes, .* statistics"):
        compute_statistics(ExamplesSplit(str(tmp_path), "images"))
