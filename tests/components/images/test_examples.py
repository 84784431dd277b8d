"""Examples of images, read back as records."""

import hashlib
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.run import RunEnsemble
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from components.image_example_gen import plan as planning
from components.image_example_gen import write as writing
from components.image_example_gen.config import ImageSource
from components.image_example_gen.ingest import ingest_images
from components.image_example_gen.plan import plan_images
from components.images.decode import decode
from components.images.examples import ReadImageExamples, read_image_rows
from tests.components.ensemble.handlers import COLLECTED, collect
from tests.components.images.pictures import on_its_side, picture, saved, write_files
from tests.components.images.test_read import Brightness


@pytest.fixture
def examples(tmp_path, monkeypatch) -> ExamplesSplit:
    """50 images in several files of several row groups, some with captions and a number."""
    monkeypatch.setattr(planning, "SHARD_IMAGES", 20)
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 500)
    folder = tmp_path / "photos"
    write_files(folder, {f"{n:02}.png": saved(Image.new("L", (6, 4), n)) for n in range(49)})
    write_files(folder, {"99.jpg": on_its_side()})
    lines = "\n".join(f"{n:02}.png,image {n},{n}" for n in range(0, 49, 2))
    write_files(folder, {"captions.csv": f"file,caption,number\n{lines}\n".encode()})
    source = ImageSource((str(folder),))
    uri = str(tmp_path / "examples")
    ingest_images(lambda: beam.Pipeline(runner="FnApiRunner"), plan_images(source), source, uri)
    files = sorted(Path(uri, "Split-images").iterdir())
    assert len(files) == 3 and all(pq.read_metadata(file).num_row_groups > 1 for file in files)
    return ExamplesSplit(uri, "images")


def test_rows_are_read_back_in_order_with_their_pixels(examples, tmp_path):
    batches = list(read_image_rows(examples, batch=7))
    assert [len(batch) for batch in batches] == [7] * 7 + [1]
    records = [record for batch in batches for record in batch]
    names = [*(f"{n:02}.png" for n in range(49)), "99.jpg"]
    assert [record.key for record in records] == [str(tmp_path / "photos" / n) for n in names]
    for number, record in enumerate(records[:-1]):
        pixels = record.values.pop("image")
        assert pixels.shape == (4, 6, 3) and (pixels == number).all()
        known = number % 2 == 0
        sha256 = hashlib.sha256(Path(record.key).read_bytes()).hexdigest()
        assert record.values == {
            "image_uri": record.key,
            "sha256": sha256,
            "reference": f"image {number}" if known else None,
            "number": number if known else None,
        }
        assert record.failure is None and not record.versions
    assert np.array_equal(records[-1].values["image"], decode(on_its_side()))


def test_the_transform_gives_the_same_records_to_an_ensemble(examples):
    COLLECTED.clear()
    ensemble = Ensemble(Stage("brightness", Brightness(), inputs="image"))
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        records = pipeline | ReadImageExamples(examples) | RunEnsemble(ensemble)
        _ = records | "Collect" >> beam.Map(collect)
    found = {record.key: record.values for record in COLLECTED}
    expected = {r.key: r.values for batch in read_image_rows(examples) for r in batch}
    assert len(COLLECTED) == len(found) == 50 and found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key]["brightness"] == values["image"].mean()
        assert found[key]["reference"] == values["reference"]


def write(folder: Path, **columns) -> ExamplesSplit:
    (folder / "Split-images").mkdir(parents=True)
    listed = {name: pa.array([[value] for value in values]) for name, values in columns.items()}
    pq.write_table(pa.table(listed), folder / "Split-images" / "a.parquet")
    return ExamplesSplit(str(folder), "images")


def test_an_image_that_cannot_be_decoded_is_a_failure(tmp_path):
    split = write(tmp_path, image_uri=["a", "a", "b"], image=[saved(picture()), b"x", b""])
    [records] = read_image_rows(split)
    assert [record.key for record in records] == ["a", "a", "b"]
    assert [record.failure and record.failure.stage for record in records] == [None, "read", "read"]
    assert "not a JPEG" in records[1].failure.reason and "empty" in records[2].failure.reason
    assert "image" not in records[1].values
    [small] = read_image_rows(split, max_pixels=10)
    assert "12 x 8 pixels; at most 10" in small[0].failure.reason


def test_other_examples_are_refused(tmp_path):
    split = write(tmp_path / "rows", word=["a"])
    with pytest.raises(BeamfleetError, match=r"no column image and no column image_uri"):
        next(read_image_rows(split))
    with pytest.raises(BeamfleetError, match="has no split 'eval'"):
        next(read_image_rows(ExamplesSplit(split.uri, "eval")))
    with pytest.raises(BeamfleetError, match="not FORMAT_TF_EXAMPLE"):
        next(read_image_rows(ExamplesSplit(split.uri, "images", "FORMAT_TF_EXAMPLE")))
