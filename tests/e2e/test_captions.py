"""`beamfleet run captions` on drawn scenes, on photographs, and on what is no image."""

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sklearn
from PIL import Image

from tests.e2e.beamfleet import ROOT, beamfleet, run

pytestmark = pytest.mark.e2e
SCENES = ROOT / "data" / "scenes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """18 scenes with captions, scikit-learn's two photographs, and four that are no images."""
    folder = tmp_path_factory.mktemp("images")
    photographs = Path(sklearn.__file__).parent / "datasets" / "images"
    for path in [*sorted(SCENES.glob("*.png"))[:18], *photographs.glob("*.jpg")]:
        shutil.copy(path, folder)
    rows = list(csv.reader((SCENES / "captions.csv").open()))[:19]
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "empty.jpg").touch()
    (folder / "page.png").write_text("<script>alert(1)</script>")
    whole = (SCENES / "000000.png").read_bytes()
    (folder / "cut off.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (9000, 9000)).save(folder / "huge.png")
    return folder


@pytest.fixture(scope="module")
def captions(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("captions")
    # 81 million pixels are more than are read of one image.
    return root, run("captions", "--root", root, "--images", folder, "--orchestrator", "local")


def rows_of(uri, kind):
    return [
        r for file in Path(uri, kind).glob("*.parquet") for r in pq.read_table(file).to_pylist()
    ]


def test_every_good_image_is_captioned_and_every_bad_one_named(captions, folder):
    _, summary = captions
    assert summary["examples"]["rows_in"] == 24
    rejects = pq.read_table(summary["examples"]["rejects"]).to_pylist()
    bad = {Path(row["file"]).name: row["reason"] for row in rejects}
    assert sorted(bad) == ["cut off.png", "empty.jpg", "huge.png", "page.png"]
    assert all(bad.values())
    rows = rows_of(summary["paths"]["predictions"], "predictions")
    good = {path.name for path in folder.iterdir()} - {*bad, "captions.csv"}
    assert sorted(Path(row["image_uri"]).name for row in rows) == sorted(good)
    assert len(good) == 20
    for row in rows:
        assert sum(caption["probability"] for caption in row["captions"]) == pytest.approx(1)
        assert set(dict(row["versions"])) == {"caption", "rank"}


def test_it_is_evaluated_served_and_pushed_like_any_model(captions):
    root, summary = captions
    assert summary["captions"]["rows_evaluated"] == 18
    assert summary["captions"]["rows_without_reference"] == 2
    assert summary["captions"]["overall"]["candidate"]["exact_match"] >= 0.8
    assert summary["infra"]["blessed"], summary["infra"]
    assert summary["push"]["pushed"] is summary["captions"]["blessed"]
    if summary["push"]["pushed"]:
        assert (root / "pushed" / "1" / "ensemble.json").is_file()


def test_the_terminal_shows_captions_and_what_failed(captions):
    root, _ = captions
    shown = beamfleet("show", "latest", "--root", root, "--all")
    assert "Image: 000000.png\nTop " in shown
    assert "ranked by CLIP:\n1: a " in shown
    assert "(Caption probability: " in shown
    assert "Image: page.png\nNo captions, failed in read: not a JPEG" in shown


def test_the_contact_sheet_names_all_images(captions, folder):
    _, summary = captions
    page = Path(summary["paths"]["contact sheet"]).read_text()
    names = [path.name for path in folder.iterdir() if path.name != "captions.csv"]
    assert all(name in page for name in names)


def test_pairs_are_exported(captions, tmp_path):
    root, _ = captions
    report = json.loads(
        beamfleet("export", root, "--to", "webdataset", "--out", tmp_path / "pairs", "--json")
    )
    assert report["exported"] == 20
    assert list((tmp_path / "pairs").rglob("*.tar"))
