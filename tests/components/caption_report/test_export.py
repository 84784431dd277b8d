"""Pairs of images and captions: nothing is lost, nothing escapes, everything can be read."""

import hashlib
import io
import json
import random
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from components.caption_report.export import ExportConfig, export_pairs
from components.caption_report.pairs import Pair, WebDatasetWriter
from components.caption_report.read import CaptionResult
from components.errors import BeamfleetError
from components.images.decode import examine
from tests.components.caption_report.results import image, row, write_rejects, write_result
from tests.components.images.pictures import on_its_side

FORMS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}


@pytest.fixture
def folder(tmp_path):
    """Eight good images of all formats, misnamed ones among them, and six bad ones."""
    (tmp_path / "in").mkdir()
    rows = []
    for i in range(8):
        path = tmp_path / "in" / f"{i}.photo.png"
        path.write_bytes(image(form=list(FORMS)[i % 4]))
        rows.append(row(str(path), f"a cat {i}", "a\ndog", best=0.55 + i / 20))
    (tmp_path / "in" / "empty.png").touch()
    (tmp_path / "in" / "cut.png").write_bytes(image(form="JPEG")[:300])
    (tmp_path / "in" / "other.png").write_bytes(image(size=(9, 6)))
    for name in ("gone.png", "empty.png", "cut.png", "other.png"):
        rows.append(row(str(tmp_path / "in" / name), "a cat", best=0.9))
    rows.append(row("http://127.0.0.1:9/x.png", "a cat", best=0.9))
    dead = [(str(tmp_path / "in" / "broken.png"), "read", "damaged")]
    random.Random(2).shuffle(rows)
    return write_result(tmp_path / "result", rows, dead)


def export(result, out, **options):
    return export_pairs(result, str(out), ExportConfig(**options))


def samples(out):
    """Key -> extension -> content, as a reader of WebDataset groups the members."""
    found = defaultdict(dict)
    for path in sorted((out / "train").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                assert member.isreg()
                assert extension not in found[key], "two samples have the same key"
                found[key][extension] = tar.extractfile(member).read()
    return dict(found)


def failed(out):
    return [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()]


def test_a_webdataset_holds_the_files_as_they_are(folder, tmp_path):
    counts = export(folder, tmp_path / "out")
    assert (counts.images_in, counts.exported, counts.failed, counts.unreadable) == (14, 8, 6, 5)
    found = samples(tmp_path / "out")
    assert len(found) == 8
    for members in found.values():
        document = json.loads(members.pop("json"))
        text = members.pop("txt").decode()
        [(extension, content)] = members.items()
        number = int(Path(document["image_uri"]).name[0])
        assert content == Path(document["image_uri"]).read_bytes()
        assert extension == FORMS[list(FORMS)[number % 4]]
        assert text == f"a cat {number}"
        assert document["captions"][0]["probability"] == pytest.approx(0.55 + number / 20)
        assert {"stage": "rank", "model": "clip@2"} in document["models"]
    assert sum(path.suffix == ".tmp" for path in tmp_path.iterdir()) == 0


def test_an_image_on_its_side_is_exported_as_the_captioner_saw_it(tmp_path):
    (tmp_path / "a.jpg").write_bytes(on_its_side())
    result = write_result(tmp_path / "result", [row(str(tmp_path / "a.jpg"), "a cat", height=12)])
    assert (examine(on_its_side()).width, examine(on_its_side()).height) == (8, 12)
    assert export(result, tmp_path / "out").exported == 1
    [members] = samples(tmp_path / "out").values()
    with Image.open(io.BytesIO(members["jpg"])) as exported:
        assert exported.size == (8, 12) and not exported.getexif()


def test_every_image_that_is_missing_is_named(folder, tmp_path):
    export(folder, tmp_path / "out")
    reasons = {Path(line["image_uri"]).name: line["reason"] for line in failed(tmp_path / "out")}
    assert reasons.keys() == {
        "gone.png", "empty.png", "cut.png", "other.png", "x.png", "broken.png"
    }  # fmt: skip
    assert reasons["gone.png"] == "there is no such file"
    assert reasons["empty.png"] == "the file is empty"
    assert "damaged" in reasons["cut.png"]
    assert "changed since: 9 x 6 pixels now, 8 x 6" in reasons["other.png"]
    assert "not public" in reasons["x.png"]
    assert reasons["broken.png"] == "damaged"


def test_another_picture_of_the_same_size_is_no_pair_with_the_old_caption(tmp_path):
    rows = []
    for name, kept in (("kept.png", "red"), ("replaced.png", "blue")):
        (tmp_path / name).write_bytes(image(kept))
        sha256 = hashlib.sha256(image("red")).hexdigest()
        rows.append(row(str(tmp_path / name), "a red square", sha256=sha256))
    counts = export(write_result(tmp_path / "result", rows), tmp_path / "out")
    assert (counts.exported, counts.unreadable) == (1, 1)
    [line] = failed(tmp_path / "out")
    assert line["image_uri"].endswith("replaced.png")
    assert line["reason"].startswith("it has changed since it was captioned")


def test_what_could_not_be_read_at_all_and_records_count_as_failed(folder, tmp_path):
    rows = [row("/p/x.tfrecord#1", "a cat"), row(str(tmp_path / "in" / "0.photo.png"), "a dog")]
    result = write_result(tmp_path / "other", rows)
    rejects = write_rejects(tmp_path / "rejects.parquet", [("/p/y.png", 1, "it is empty", "")])
    counts = export_pairs(result, str(tmp_path / "out"), ExportConfig(), rejects=rejects)
    assert (counts.images_in, counts.exported, counts.failed, counts.unreadable) == (3, 1, 2, 1)
    assert [line["image_uri"] for line in failed(tmp_path / "out")] == [
        "/p/y.png", "/p/x.tfrecord#1"
    ]  # fmt: skip
    assert "not read again" in failed(tmp_path / "out")[1]["reason"]


def test_an_image_folder_has_a_line_for_each_file(folder, tmp_path):
    export(folder, tmp_path / "out", format="imagefolder")
    train = tmp_path / "out" / "train"
    lines = [json.loads(line) for line in (train / "metadata.jsonl").read_text().splitlines()]
    assert {line["file_name"] for line in lines} | {"metadata.jsonl"} == {
        path.name for path in train.iterdir()
    }
    assert len(lines) == 8
    for line in lines:
        assert (train / line["file_name"]).read_bytes() == Path(line["image_uri"]).read_bytes()
        assert line["text"].startswith("a cat ")
        assert line["probability"] == line["captions"][0]["probability"]


@pytest.mark.parametrize("form", ["webdataset", "imagefolder"])
def test_a_threshold_counts_what_it_leaves_out(folder, tmp_path, form):
    out = tmp_path / "out"
    counts = export(folder, out, format=form, min_probability=0.7)
    assert (counts.exported, counts.below_threshold, counts.failed) == (5, 3, 6)
    assert counts.images_in == counts.exported + counts.below_threshold + counts.failed
    told = json.loads((out / "export.json").read_text())
    assert {k: told[k] for k in ("exported", "below_threshold", "failed", "model_version")} == {
        "exported": 5, "below_threshold": 3, "failed": 6, "model_version": 3,
    }  # fmt: skip


def test_all_captions_are_lines_or_a_list(folder, tmp_path):
    export(folder, tmp_path / "w", caption="all", min_probability=0.29)
    texts = {members["txt"].decode() for members in samples(tmp_path / "w").values()}
    # The second caption, whose newline does not make a third one, has 0.45 to 0.1.
    assert texts == {f"a cat {i}\na dog" for i in range(4)} | {f"a cat {i}" for i in range(4, 8)}
    export(folder, tmp_path / "i", caption="all", format="imagefolder")
    with (tmp_path / "i" / "train" / "metadata.jsonl").open() as lines:
        for line in map(json.loads, lines):
            assert line["text"][1:] == ["a dog"]
            assert sum(line["probability"]) == pytest.approx(1)


def test_duplicates_and_hostile_names_stay_apart_and_inside(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    names = ["same.png", "a/same.png", "..png", "-rf.png", "x\n\x1b[2J.png", "日本.png", "a" * 200]
    for name in names:
        (tmp_path / "in" / name).write_bytes(image())
    uris = [f"{tmp_path}/in/{name}" for name in names]
    uris += [uris[0], f"{tmp_path}/in/a/../../in/same.png"]
    result = write_result(tmp_path / "result", [row(uri, "a cat") for uri in uris])
    for form in ("webdataset", "imagefolder"):
        assert export(result, tmp_path / form, format=form).exported == 9
    keys = list(samples(tmp_path / "webdataset"))
    files = sorted((tmp_path / "imagefolder" / "train").glob("*.jpg"))
    assert [file.stem for file in files] == keys
    assert keys[:4] == ["00000000-same", "00000001-same", "00000002", "00000003-rf"]
    assert all(key.isascii() and len(key) < 80 and not set(key) & set("./\\ \n") for key in keys)
    everything = {path.name for path in tmp_path.iterdir()}
    assert everything == {"in", "result", "webdataset", "imagefolder"}


def test_shards_are_bounded(tmp_path):
    rows = [row(f"/p/{i}.png", "a cat") for i in range(10)]
    images = CaptionResult(write_result(tmp_path / "result", rows)).rows()
    content = image(form="PNG") + bytes(3000)
    (tmp_path / "bytes").mkdir()
    (tmp_path / "pairs").mkdir()
    with (
        WebDatasetWriter(tmp_path / "bytes", shard_bytes=20_000) as by_bytes,
        WebDatasetWriter(tmp_path / "pairs", shard_pairs=4) as by_pairs,
    ):
        for number, one in enumerate(images):
            pair = Pair(number, one, one.captions, content)
            by_bytes.add(pair)
            by_pairs.add(pair)
    shards = sorted((tmp_path / "bytes" / "train").iterdir())
    assert [path.name for path in shards] == [f"{n:06}.tar" for n in range(4)]
    assert len(samples(tmp_path / "bytes")) == len(samples(tmp_path / "pairs")) == 10
    assert len(list((tmp_path / "pairs" / "train").iterdir())) == 3
    assert all(path.stat().st_size <= 20_480 for path in shards)


def test_the_same_pairs_give_the_same_bytes(folder, tmp_path):
    for name in ("a", "b"):
        export(folder, tmp_path / name)
    first, second = (tmp_path / name / "train" / "000000.tar" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_the_output_is_whole_or_absent(folder, tmp_path, monkeypatch):
    def full(self, pair):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(WebDatasetWriter, "add", full)
        with pytest.raises(BeamfleetError, match="out cannot be written: No space left on device"):
            export(folder, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "result"}
    (tmp_path / "out").mkdir()
    assert export(folder, tmp_path / "out").exported == 8  # an empty folder may be there
    with pytest.raises(BeamfleetError, match="out is not empty; choose a new folder"):
        export(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"min_probability": 0.99}, "of 14 images 1 failed and 13 have no caption of"),
        ({"min_probability": 1.5}, "between 0 and 1, not 1.5"),
        ({"format": "zip"}, "format is one of webdataset, imagefolder, not 'zip'"),
        ({"caption": "worst"}, "caption is best or all, not 'worst'"),
    ],
)
def test_nothing_or_nonsense_is_refused(folder, tmp_path, options, says):
    with pytest.raises(BeamfleetError, match=says):
        export(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_remote_target_is_refused(folder):
    with pytest.raises(BeamfleetError, match="gs://bucket/x is no local folder"):
        export(folder, "gs://bucket/x")
