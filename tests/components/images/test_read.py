"""Folders as people have them, through to an ensemble."""

import io

import apache_beam as beam
import numpy as np
import pytest
from PIL import Image

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.run import RunEnsemble
from components.images.find import find_images
from components.images.read import ReadImages
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
    (root / "notes").write_text("no image")
    (root / "cut.png").write_bytes((root / "0" / "00.png").read_bytes()[:-25])
    (root / ".hidden").write_bytes(b"x")
    (tmp_path / "private.png").write_bytes((root / "0" / "00.png").read_bytes())
    (root / "link.png").symlink_to(tmp_path / "private.png")
    return root


def test_every_good_image_is_predicted_and_every_bad_one_named(folder):
    COLLECTED.clear()
    ensemble = Ensemble(Stage("brightness", Brightness(), inputs="image"))
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = pipeline | ReadImages(find_images(str(folder))) | RunEnsemble(ensemble)
        _ = results | "Collect" >> beam.Map(collect)
    good = {r.key: r.values["brightness"] for r in COLLECTED if not r.failure}
    bad = {r.key.rpartition("/")[2]: r.failure.reason for r in COLLECTED if r.failure}
    assert len(COLLECTED) == 25 and len(good) == 21
    assert good[str(folder / "1" / "07.png")] == 70
    assert good[str(folder / "jpeg named.png")] == 200
    assert sorted(bad) == ["cut.png", "empty.jpg", "link.png", "notes"]
    assert bad["empty.jpg"] == "the file is empty" and "damaged" in bad["cut.png"]
    assert bad["link.png"].startswith("is a link out of the folder")
