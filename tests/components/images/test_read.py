"""Folders as people have them, through to an ensemble."""

import io

import apache_beam as beam
import numpy as np
import pytest
from PIL import Image

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.run import RunEnsemble
from components.errors import BeamfleetError
from components.images.read import ReadImages, find_images
from tests.components.ensemble.handlers import COLLECTED, Double, collect


class Brightness(Double):
    """Mean of the pixels."""

    def run_inference(self, batch, model, inference_args=None):
        return [float(np.mean(image)) for image in batch]


def image_file(path, grey, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.new("L", (20, 10), grey).save(buffer, kind)
    path.write_bytes(buffer.getvalue())
    return str(path)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    for number in range(20):
        image_file(root / f"{number % 3}" / f"{number:02}.png", number * 10)
    image_file(root / "jpeg named.png", 200, "JPEG")
    (root / "empty.jpg").write_bytes(b"")
    (root / "notes.md").write_text("no image")
    (root / "cut.png").write_bytes((root / "0" / "00.png").read_bytes()[:-25])
    (root / ".hidden").write_bytes(b"x")
    return root


def test_every_good_image_is_predicted_and_every_bad_one_named(folder):
    COLLECTED.clear()
    ensemble = Ensemble(Stage("brightness", Brightness(), inputs="image"))
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = pipeline | ReadImages(find_images(str(folder))) | RunEnsemble(ensemble)
        _ = results | "Collect" >> beam.Map(collect)
    good = {r.key: r.values["brightness"] for r in COLLECTED if not r.failure}
    bad = {r.key.rpartition("/")[2]: r.failure.reason for r in COLLECTED if r.failure}
    assert len(COLLECTED) == 24 and len(good) == 21
    assert good[str(folder / "1" / "07.png")] == 70
    assert good[str(folder / "jpeg named.png")] == 200
    assert sorted(bad) == ["cut.png", "empty.jpg", "notes.md"]
    assert bad["empty.jpg"] == "the file is empty" and "damaged" in bad["cut.png"]


def test_places_are_folders_patterns_lists_and_addresses(folder):
    everything = find_images(str(folder))
    assert len(everything) == 24 and not any("hidden" in path for path in everything)
    assert find_images(f"{folder}/0/*.png", str(folder / "0" / "00.png")) == [
        path for path in everything if "/photos/0/" in path
    ]
    (folder.parent / "list.txt").write_text("photos/0/00.png\n\nhttps://example.org/a.jpg\n")
    assert find_images(str(folder.parent / "list.txt")) == [
        str(folder / "0" / "00.png"),
        "https://example.org/a.jpg",
    ]


@pytest.mark.parametrize("place", ["nowhere", "nowhere/*.png", ""])
def test_nothing_there_is_an_error(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BeamfleetError, match=r"no images at|name a folder"):
        find_images(*([place] if place else []))
