"""Reference captions as people write them down."""

import pyarrow as pa
import pytest

from components.errors import BeamfleetError
from components.images.references import References, read_references


def write(folder, text, name="captions.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_captions_and_further_columns(tmp_path):
    path = write(
        tmp_path,
        "\ufefffile,caption,objects,share,code,note\r\n"
        'a.png," a cat, ""asleep""\n on a mat ",2,0.5,007,\r\n'
        "\r\n"
        "b/ü.png,,3,1,010,x\u2028y\n"
        "c.png,a dog,,2,100,\n",
    )
    a, b, c = (str(tmp_path / name) for name in ("a.png", "b/ü.png", "c.png"))
    assert read_references([path], [c, b, a]) == References(
        {a: 'a cat, "asleep"\n on a mat', c: "a dog"},
        {"objects": pa.int64(), "share": pa.float64(), "code": pa.string(), "note": pa.string()},
        {
            "objects": {a: 2, b: 3},
            "share": {a: 0.5, b: 1.0, c: 2.0},
            "code": {a: "007", b: "010", c: "100"},
            "note": {b: "x\u2028y"},
        },
    )


def test_json_lines_as_hugging_face_writes_them(tmp_path):
    path = write(
        tmp_path,
        '{"file_name": "a.png", "text": "a cat", "n": 1, "boxes": [[1, 2]], "ok": true}\n\n'
        '{"file_name": "b.png", "text": null, "n": 2.5, "who": "ö"}',
        "metadata.jsonl",
    )
    a, b = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    found = read_references([path], [a, b])
    assert found.captions == {a: "a cat"}
    assert found.columns == {
        "n": {a: 1.0, b: 2.5},
        "boxes": {a: "[[1, 2]]"},
        "ok": {a: "true"},
        "who": {b: "ö"},
    }


def test_rows_name_images_by_address_path_or_name_in_a_folder(tmp_path):
    path = write(
        tmp_path, "file,caption\nhttps://x.org/a.png,1\n/abs/b.png,2\nc.png,3\nd.png,4\ne.png,5\n"
    )
    uris = ["https://x.org/a.png", "/abs/b.png", str(tmp_path / "c.png"), "photos/d.png"]
    found = read_references([path], uris, ["photos/"])
    assert list(found.captions) == uris
    assert found.unmatched == ("e.png",)


def test_rows_and_images_may_be_spelled_in_other_ways(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "a").mkdir(parents=True)
    write(tmp_path, f"file,caption\na/../1.png,1\n./2.png,2\n{tmp_path}/photos/3.png,3\na\0/x,4\n",
          "photos/captions.csv")  # fmt: skip
    uris = ["photos/1.png", f"{tmp_path}/photos/2.png", "photos/a/../3.png"]
    found = read_references(["./photos/captions.csv"], uris)
    assert list(found.captions) == uris and found.unmatched == ("a\0/x",)


def test_a_name_is_looked_for_beside_its_file_before_where_the_command_is_run(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    path = write(tmp_path / "more", "file,caption\na.png,more\n")
    uris = [str(tmp_path / "a.png"), str(tmp_path / "more" / "a.png")]
    assert read_references([path], uris, [str(tmp_path)]).captions == {uris[1]: "more"}


def test_several_files_make_one_table(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    paths = [
        write(tmp_path / "one", "file,caption,n\na.png,x,1\n"),
        write(tmp_path / "two", "file,caption,n\na.png,y,1.5\n"),
    ]
    one, two = (str(tmp_path / name / "a.png") for name in ("one", "two"))
    found = read_references(paths, [one, two])
    assert found.captions == {one: "x", two: "y"}
    assert found.columns == {"n": {one: 1.0, two: 1.5}}


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("file,caption\na.png,x\na.png,y\n", "c.csv", "line 2 and .*line 3 are both about .*a.png"),
        ("file,caption\na.png,x\n./b.png,x,y\n", "c.csv", "line 3 has 3 values.* 2 columns"),
        ("name,caption\na.png,x\n", "c.csv", "line 1 has columns name, caption; expected 'file'"),
        ("filename;text\na.png;x, y\n", "c.csv", "line 1 has .* is it separated by ';'"),
        ("file,caption,caption\na.png,x,y\n", "c.csv", "expected different names"),
        ("file,\na.png,x\n", "c.csv", "expected different names"),
        ("file,caption\n ,x\n", "c.csv", "line 2 names no image"),
        ('file,caption\na.png,"x\n', "c.csv", "line 2: unexpected end of data"),
        ('{"file": "a.png"}\n{', "c.jsonl", "line 2 is no JSON"),
        ('{"file": "a.png", "n": ["\\ud800"]}', "c.jsonl", r"line 1 has '\\ud800', half a char"),
        ('{"file": "a", "\\udfff": ""}', "c.jsonl", r"c.jsonl line 1 has '\\udfff'"),
        ('{"file": ' + "[" * 10**5, "c.jsonl", "line 1 is no JSON: maximum recursion"),
        ("3", "c.jsonl", "line 1 is no JSON object"),
        ('{"caption": "x"}', "c.jsonl", "line 1 has columns caption; expected 'file'"),
    ],
)
def test_what_cannot_be_understood_is_an_error(tmp_path, text, name, message):
    with pytest.raises(BeamfleetError, match=message):
        read_references([write(tmp_path, text, name)], [str(tmp_path / "a.png")])


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(BeamfleetError, match="cannot be read: No such file"):
        read_references([str(tmp_path / "none.csv")], [])
    (tmp_path / "a.csv").write_bytes(b"file,caption\na.png,\xff\n")
    with pytest.raises(BeamfleetError, match="is not UTF-8"):
        read_references([str(tmp_path / "a.csv")], [])


def test_nothing_is_known_of_images_without_references():
    assert read_references([], ["a.png"]) == References()
