"""What is taken for a result, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.caption_evaluator.read import read_result
from components.caption_evaluator.score import count, score_images
from components.errors import BeamfleetError
from tests.components.caption_evaluator.results import (
    BLUE,
    CAPTIONS,
    RED,
    dead,
    image,
    ranked,
    write_result,
)


def test_all_parts_are_read_and_pictures_are_not(tmp_path: Path) -> None:
    rows = [image(f"{i}.png", ranked(RED), RED, objects=i) for i in range(5)]
    uri = write_result(tmp_path / "r", rows, [dead("x.png")], parts=3)
    result = read_result(uri, ["objects"])
    assert sorted(result.rows.column("objects").to_pylist()) == [0, 1, 2, 3, 4]
    assert "thumbnail" not in result.rows.column_names
    assert result.dead_letters.num_rows == 1


def test_photographs_have_no_reference_and_nothing_to_slice_by(tmp_path: Path) -> None:
    row = image("x.png", ranked(RED))
    del row["reference"]
    result = read_result(write_result(tmp_path / "r", [row]), ["objects"])
    assert result.missing == ("objects",)
    assert count(score_images(result))["rows_without_reference"] == 1


def test_a_part_without_any_reference_is_read_with_the_others(tmp_path: Path) -> None:
    uri = write_result(tmp_path / "r", [image("x", ranked(RED), RED), image("y", ranked(RED))], [])
    odd = pq.read_table(f"{uri}/predictions").slice(1)
    place = odd.schema.get_field_index("reference")
    odd = odd.set_column(place, "reference", pa.nulls(1))
    pq.write_table(odd, f"{uri}/predictions/part-00001.parquet")
    summary = {"images_in": 3, "images": 3, "images_failed": 0}
    Path(uri, "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    assert read_result(uri, []).rows.column("reference").to_pylist() == [RED, None, None]


def test_all_images_failed(tmp_path: Path) -> None:
    result = read_result(write_result(tmp_path / "r", [], [dead("x"), dead("y")]), ["objects"])
    counts = count(score_images(result))
    assert (counts["rows_in"], counts["rows_failed"]) == (2, 2)


@pytest.mark.parametrize(
    ("captions", "kind"),
    [(None, CAPTIONS), ([], CAPTIONS), ([], pa.list_(pa.null())), (None, pa.null())],
)
def test_no_image_got_a_caption(
    tmp_path: Path, captions: list[Any] | None, kind: pa.DataType
) -> None:
    uri = write_result(tmp_path / "r", [image("x", captions, RED)], captions=kind)
    assert count(score_images(read_result(uri, [])))["rows_failed"] == 1


def test_nothing_was_pushed_so_nothing_was_inferred(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"images": 0, "skipped": "nothing was pushed"}')
    result = read_result(str(tmp_path), ["objects"])
    assert (result.skipped, result.rows.num_rows) == ("nothing was pushed", 0)


def test_no_summary(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"summary\.json is missing"):
        read_result(str(tmp_path), [])
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(BeamfleetError, match=r"summary\.json is broken"):
        read_result(str(tmp_path), [])


@pytest.mark.parametrize(
    "told", [{"images": 3}, {"images_failed": 0}, {"images_in": 4}, {"images_in": None}]
)
def test_lost_rows_are_noticed(tmp_path: Path, told: dict[str, Any]) -> None:
    rows = [image("x", ranked(RED)), image("y", ranked(RED))]
    uri = write_result(tmp_path / "r", rows, [dead("z")], told=told)
    with pytest.raises(BeamfleetError, match=r"is not whole.*hold 2 and 1"):
        read_result(uri, [])


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


GOOD = image("x", ranked(RED, BLUE), RED)


@pytest.mark.parametrize(
    ("row", "slices", "message"),
    [
        (without(GOOD, "captions"), [], r"lacks the columns \['captions'\]"),
        (without(GOOD, "variant"), [], r"lacks the columns \['variant'\]"),
        (GOOD, ["colour"], r"no columns \['colour'\] to slice by; it has \['captions', 'height'"),
        (GOOD, ["thumbnail"], "'thumbnail' is binary; expected words or whole numbers"),
        ({**GOOD, "image_uri": None}, [], "1 rows have no image_uri"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, row: dict[str, Any], slices: list[str], message: str
) -> None:
    with pytest.raises(BeamfleetError, match=message):
        read_result(write_result(tmp_path / "r", [row]), slices)


@pytest.mark.parametrize("name", ["text", "probability", "similarity", "place"])
def test_a_caption_lacks_a_field_or_has_one_of_another_type(tmp_path: Path, name: str) -> None:
    uri = write_result(tmp_path / "r", [GOOD])
    path = f"{uri}/predictions/part-00000.parquet"
    whole = pq.read_table(path)
    fields = [field for field in CAPTIONS.value_type if field.name != name]
    for extra in ([], [pa.field(name, pa.bool_())]):
        captions = [[{key: one.get(key) for key in one if key != name} for one in ranked(RED)]]
        array = pa.array(captions, pa.list_(pa.struct([*fields, *extra])))
        place = whole.schema.get_field_index("captions")
        pq.write_table(whole.set_column(place, "captions", pa.chunked_array([array])), path)
        with pytest.raises(BeamfleetError, match=f"captions need the field '{name}'"):
            read_result(uri, [])


def test_files_of_different_types_are_refused(tmp_path: Path) -> None:
    uri = write_result(tmp_path / "r", [{**GOOD, "objects": 1}])
    odd = pq.read_table(f"{uri}/predictions")
    odd = odd.set_column(odd.schema.get_field_index("objects"), "objects", pa.array(["one"]))
    pq.write_table(odd, f"{uri}/predictions/part-00001.parquet")
    with pytest.raises(BeamfleetError, match="its files have different types"):
        read_result(uri, ["objects"])
