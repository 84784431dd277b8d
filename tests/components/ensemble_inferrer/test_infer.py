"""Bulk inference of an ensemble on images."""

import hashlib
import io
import json
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from PIL import Image

from components.captioning.caption import Caption
from components.ensemble.ab_test import ABTest
from components.ensemble.graph import Ensemble, Stage
from components.ensemble_inferrer import infer as infer_module
from components.ensemble_inferrer import write
from components.ensemble_inferrer.infer import InferredModel, infer
from components.ensemble_inferrer.rows import Row
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from components.image_example_gen.config import ImageSource
from components.image_example_gen.ingest import ingest_images
from components.image_example_gen.plan import plan_images

DARK = 40


class Shade(ModelHandler):
    """Names the brightness; fails on dark images."""

    def __init__(self, version="shade-1"):
        super().__init__()
        self.version = version

    def load_model(self):
        return self

    def run_inference(self, batch, model, inference_args=None):
        for image in batch:
            if image.mean() < DARK:
                raise ValueError("too dark")
            text = f"brightness {int(image.mean())}"
            yield PredictionResult(image, (Caption(text, -1.0),), self.version)


class Length(ModelHandler):
    """A number of the stage before it."""

    def load_model(self):
        return self

    def run_inference(self, batch, model, inference_args=None):
        return [len(captions[0].text) for captions in batch]


def pipeline():
    return beam.Pipeline(runner="FnApiRunner")


def ensemble(version="shade-1"):
    return Ensemble(
        Stage("caption", Shade(version), inputs="image"),
        Stage("length", Length(), inputs="caption"),
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """30 images of rising brightness, the first ten with a reference; four are dark."""
    folder = tmp_path_factory.mktemp("images")
    lines = ["file,caption,group"]
    for number in range(30):
        pixels = np.full((300 + number, 200, 3), 8 * number + 9, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        lines += [f"{number:02}.png,shade {number},{number % 2}"] if number < 10 else []
    (folder / "captions.csv").write_text("\n".join(lines))
    source = ImageSource((str(folder),))
    uri = str(tmp_path_factory.mktemp("examples"))
    assert ingest_images(pipeline, plan_images(source), source, uri).rows == 30
    return ExamplesSplit(uri, "images")


def run(examples, uri, model=None, columns=None, share=0.5):
    model = model or InferredModel("somewhere", ensemble())
    return infer(pipeline, [examples], model, str(uri), columns or {"captions": "caption"}, share)


def rows_of(uri, kind="predictions"):
    files = sorted(Path(uri, kind).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_every_image_has_a_prediction_or_a_reason(examples, tmp_path):
    summary = run(examples, tmp_path)
    good, bad = rows_of(tmp_path), rows_of(tmp_path, "dead_letters")
    assert (summary.images_in, summary.images, summary.images_failed) == (30, 26, 4)
    assert sorted(Path(row["image_uri"]).name for row in bad) == [f"{i:02}.png" for i in range(4)]
    assert {(row["stage"], row["reason"]) for row in bad} == {("caption", "ValueError: too dark")}
    assert sorted(row["reference"] for row in bad) == [f"shade {i}" for i in range(4)]
    assert summary.reasons == {"ValueError: too dark": 4}
    assert len({row["image_uri"] for row in good}) == 26
    for row in good:
        number = int(Path(row["image_uri"]).stem)
        assert row["captions"][0]["text"] == f"brightness {8 * number + 9}"
        assert (row["width"], row["height"]) == (200, 300 + number)
        assert row["versions"] == [("caption", "shade-1")]
        content = Path(row["image_uri"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()  # of what was captioned
        assert row["reference"] == (f"shade {number}" if number < 10 else None)
    assert json.loads((tmp_path / "summary.json").read_text())["images"] == 26
    assert not (tmp_path / ".staged").exists()


@pytest.mark.parametrize("kind", ["predictions", "dead_letters"])
def test_a_result_that_lost_an_image_is_no_result(examples, tmp_path, monkeypatch, kind):
    commit = write.commit

    def loses_one(uri):
        counts = commit(uri)
        return {**counts, kind: counts[kind] - 1}

    monkeypatch.setattr(write, "commit", loses_one)
    with pytest.raises(BeamfleetError, match=r"30 images were read.* run the inference again"):
        run(examples, tmp_path)
    assert not (tmp_path / "summary.json").exists()


def test_thumbnails_are_small_upright_jpegs_of_the_image(examples, tmp_path):
    run(examples, tmp_path)
    for row in rows_of(tmp_path):
        image = Image.open(io.BytesIO(row["thumbnail"]))
        assert image.format == "JPEG"
        assert max(image.size) == 192
        assert image.size[0] < image.size[1]
        expected = 8 * int(Path(row["image_uri"]).stem) + 9
        assert abs(np.asarray(image).mean() - expected) < 2


def test_columns_say_which_predictions_are_written(examples, tmp_path):
    run(examples, tmp_path, columns={"letters": "length"})
    row = rows_of(tmp_path)[0]
    assert row["letters"] == len("brightness 41")
    assert "captions" not in row
    assert "caption" not in row


def test_files_have_the_same_columns_although_some_have_no_value(examples, tmp_path, monkeypatch):
    monkeypatch.setattr(infer_module, "_PART_ROWS", 4)
    run(examples, tmp_path)
    files = sorted((tmp_path / "predictions").glob("*.parquet"))
    assert len(files) > 4
    assert len({pq.read_schema(file) for file in files}) == 1
    assert len(rows_of(tmp_path)) == 26
    assert {row["group"] for row in rows_of(tmp_path)} == {None, "0", "1"} or {
        row["group"] for row in rows_of(tmp_path)
    } == {None, 0, 1}


def test_columns_of_later_rows_are_not_lost(tmp_path):
    rows = [
        Row("predictions", "a", {"image_uri": "a"}),
        Row("predictions", "b", {"image_uri": "b", "more": 1}),
    ]
    [(_, _, name)] = write.write_parts(rows, str(tmp_path))
    table = pq.read_table(tmp_path / ".staged" / name)
    assert table.column("more").to_pylist() == [None, 1]


def test_files_of_a_failed_attempt_do_not_count(examples, tmp_path):
    stray = [Row("predictions", "x", {"image_uri": "x"})]
    list(write.write_parts(stray, str(tmp_path)))  # staged, but on no list
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "part-00009-of-00010.parquet").write_bytes(b"left over")
    assert run(examples, tmp_path).images == 26
    assert len(rows_of(tmp_path)) == 26


def test_of_an_ab_test_each_result_names_its_variant(examples, tmp_path):
    test = ABTest(
        {"a": ensemble("a"), "b": ensemble("b"), "next": ensemble("next")},
        split={"a": 1, "b": 1},
        by="image_uri",
        shadow=("next",),
    )
    summary = run(examples, tmp_path, InferredModel("somewhere", test))
    assert (summary.images_in, summary.images, summary.images_failed) == (60, 52, 8)
    good = rows_of(tmp_path)
    assert {row["variant"] for row in good} == {"a", "b", "next"}
    assert all(dict(row["versions"])["caption"] == row["variant"] for row in good)
    assert sum(row["variant"] == "next" for row in good) == 26


def test_too_many_failures_stop_and_say_where_the_reasons_are(examples, tmp_path):
    uri = tmp_path / "result"
    with pytest.raises(BeamfleetError, match=r"4 of 30 images failed.*too dark"):
        run(examples, uri, share=0.1)
    assert not (uri / "summary.json").exists()
    assert len(rows_of(tmp_path, "result.dead_letters")) == 4


@pytest.mark.parametrize("name", ["captions", "length", "variant", "reason"])
def test_a_column_of_the_source_is_not_replaced_by_one_of_the_results(tmp_path, name):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (9, 9), "white").save(folder / "a.png")
    (folder / "captions.csv").write_text(f"file,caption,{name}\na.png,white,mine\n")
    source = ImageSource((str(folder),))
    ingest_images(pipeline, plan_images(source), source, str(tmp_path / "examples"))
    with pytest.raises(BeamfleetError, match=f"columns {name}, which the results have"):
        run(ExamplesSplit(str(tmp_path / "examples"), "images"), tmp_path / "result")
