import pytest

from components.curated_schema.component import CuratedSchema
from components.errors import BeamfleetError


def test_an_edited_file_has_another_cache_key(tmp_path):
    file = tmp_path / "schema.pbtxt"
    file.write_text('feature { name: "a" type: INT }')
    before = CuratedSchema(str(file)).exec_properties["sha256"]
    assert CuratedSchema(str(file)).exec_properties["sha256"] == before
    file.write_text('feature { name: "a" type: FLOAT }')
    assert CuratedSchema(str(file)).exec_properties["sha256"] != before


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BeamfleetError, match=r"gone\.pbtxt cannot be read"):
        CuratedSchema(str(tmp_path / "gone.pbtxt"))
