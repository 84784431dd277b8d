"""Results are read whole or refused."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.caption_report.names import common_folder, natural
from components.caption_report.read import CaptionResult
from components.errors import BeamfleetError
from tests.components.caption_report.results import row, write_rejects, write_result


def test_rows_come_in_order_over_files_with_all_that_they_hold(tmp_path):
    uri = write_result(
        tmp_path / "r",
        (row(f"/p/{i}.png", "a cat", "a dog", reference="A  Cat.", objects=i) for i in range(7)),
        [("/p/x.png", "read", "empty")],
        rows_a_file=3,
    )
    result = CaptionResult(uri)
    images = list(result.rows())
    assert [image.uri for image in images] == [f"/p/{i}.png" for i in range(7)]
    assert (result.images, result.failed, result.folder) == (7, 1, "/p/")
    first = images[0]
    assert [caption.text for caption in first.captions] == ["a cat", "a dog"]
    assert dict(first.versions) == {"caption": "blip@1", "rank": "clip@2"}
    assert first.slices == {"objects": 0}
    assert first.thumbnail == b""
    assert next(result.rows(thumbnails=True)).thumbnail.startswith(b"\xff\xd8")
    assert [(letter.uri, letter.stage) for letter in result.dead_letters()] == [
        ("/p/x.png", "read")
    ]


def test_images_that_could_not_be_read_failed_too(tmp_path):
    uri = write_result(tmp_path / "r", [row("/p/a/1.png", "a cat")], [("/p/a/2.png", "rank", "x")])
    rejects = write_rejects(
        tmp_path / "rejects.parquet",
        [
            ("/p/b/empty.png", 1, "the file is empty", ""),
            ("/p/b/x.tfrecord", 1, "damaged", ""),
            ("/p/b/x.tfrecord", 7, "damaged", "cat.jpg"),
        ],
    )
    result = CaptionResult(uri, rejects)
    assert (result.images, result.failed, result.folder) == (1, 4, "")
    assert [(letter.uri, letter.stage, letter.reason) for letter in result.dead_letters()] == [
        ("/p/b/empty.png", "read", "the file is empty"),
        ("/p/b/x.tfrecord#1", "read", "damaged"),
        ("cat.jpg", "read", "damaged"),
        ("/p/a/2.png", "rank", "x"),
    ]
    assert CaptionResult(uri, str(tmp_path / "nothing.parquet")).failed == 1


@pytest.mark.parametrize(
    ("reference", "match"), [("a dog", 1), ("A CAT.", 0), ("a bird", -1), (None, None)]
)
def test_the_caption_that_is_the_reference_is_found(tmp_path, reference, match):
    rows = [row("x.png", "a cat", "a dog", reference=reference)]
    [image] = CaptionResult(write_result(tmp_path / "r", rows)).rows()
    assert image.match == match


def test_lost_rows_are_refused(tmp_path):
    uri = write_result(tmp_path / "r", (row(f"{i}.png", "a cat") for i in range(4)), rows_a_file=2)
    (tmp_path / "r" / "predictions" / "part-00001.parquet").unlink()
    with pytest.raises(BeamfleetError, match=r"is not whole: it holds 2 images .* of the 4 images"):
        CaptionResult(uri)


def test_other_results_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(BeamfleetError, match="is no result of captions"):
        CaptionResult(str(tmp_path))
    (tmp_path / "summary.json").write_text('{"images": 0, "skipped": "nothing was pushed yet"}')
    with pytest.raises(BeamfleetError, match="holds no captions: nothing was pushed yet"):
        CaptionResult(str(tmp_path))
    (tmp_path / "summary.json").write_text(json.dumps({"images_in": 1}))
    (tmp_path / "predictions").mkdir()
    pq.write_table(pa.table({"entity": ["a"]}), tmp_path / "predictions" / "part-0.parquet")
    with pytest.raises(BeamfleetError, match="has no column 'captions'"):
        list(CaptionResult(str(tmp_path)).rows())


@pytest.mark.parametrize(
    ("uris", "folder"),
    [
        (["/a/b/1.png", "/a/b/2.png"], "/a/b/"),
        (["/a/b/1.png", "/a/bc/2.png"], "/a/"),
        (["/a/1.png", "https://host/2.png"], ""),
        (["1.png", "2.png"], ""),
        (["/a/b/1.png"], "/a/b/"),
        ([], ""),
    ],
)
def test_the_common_folder(uris, folder):
    assert common_folder(uris) == folder


def test_names_are_sorted_as_people_do():
    names = ["10.png", "2.png", "B2", "a10", "a9", "a", "", "a09b", "9" * 5000, "x7y10", "x07y9"]
    assert sorted(names, key=natural) == [
        "", "2.png", "10.png", "9" * 5000, "a", "a9", "a09b", "a10", "B2", "x07y9", "x7y10",
    ]  # fmt: skip
