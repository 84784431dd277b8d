"""Folders as people have them, and as nobody should."""

import os
import subprocess
from pathlib import Path

import pytest

from components.errors import BeamfleetError
from components.images.fetch import fetch
from components.images.find import find_images


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    for name in ("0/00.png", "0/03.png", "1/01.png", "1/deep/02.jpg", "a.jpg", "notes"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / ".hidden").write_text("x")
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "a.jpg").write_text("x")
    return root


def names(folder, *places):
    """What is found, from the folder on."""
    return [str(Path(uri).relative_to(folder)) for uri in find_images(*map(str, places)).uris]


def test_a_folder_gives_all_but_what_is_hidden(folder):
    expected = ["0/00.png", "0/03.png", "1/01.png", "1/deep/02.jpg", "a.jpg", "notes"]
    assert names(folder, folder) == names(folder, f"{folder}/") == expected
    assert find_images(str(folder)).folders == (str(folder),)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg"]),
        ("*/*.png", ["0/00.png", "0/03.png", "1/01.png"]),
        ("0/0[0-2].png", ["0/00.png"]),
        ("**/*.jpg", ["1/deep/02.jpg", "a.jpg"]),
        ("**/deep/**", ["1/deep/02.jpg"]),
        ("1/**", ["1/01.png", "1/deep/02.jpg"]),
        ("**/0?.*", ["0/00.png", "0/03.png", "1/01.png", "1/deep/02.jpg"]),
    ],
)
def test_patterns(folder, monkeypatch, pattern, expected):
    assert names(folder, folder / pattern) == expected
    monkeypatch.chdir(folder)
    assert list(find_images(pattern).uris) == expected


def test_lists_name_paths_from_themselves_on_and_addresses(folder):
    (folder.parent / "list.txt").write_text("\ufeffphotos/a.jpg\n\n https://example.org/a.jpg\r\n")
    found = find_images(str(folder.parent / "list.txt"), "HTTPS://example.org/b.jpg")
    assert found.uris == (
        str(folder / "a.jpg"),
        "https://example.org/a.jpg",
        "HTTPS://example.org/b.jpg",
    )
    (folder.parent / "list.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BeamfleetError, match=r"list.txt is no UTF-8 text"):
        find_images(str(folder.parent / "list.txt"))


def test_lists_have_comments_and_addresses_of_this_machine(folder):
    (folder / "gr\u00fcn #1.jpg").write_text("x")
    (folder.parent / "list.txt").write_text(
        f"# my list\n  #another\nfile://{folder}/gr%C3%BCn%20%231.jpg\n"
        f"FILE://localhost{folder}/a.jpg\n"
    )
    assert names(folder, folder.parent / "list.txt") == ["gr\u00fcn #1.jpg", "a.jpg"]
    assert find_images(f"file://{folder}/0").uris == find_images(f"{folder}/0").uris
    with pytest.raises(BeamfleetError, match=r"file://elsewhere/a cannot be listed"):
        find_images("file://elsewhere/a")


def test_what_is_named_twice_is_read_once_and_counted(folder):
    found = find_images(str(folder), str(folder / "a.jpg"), f"{folder}/0/*")
    assert len(found.uris) == 6 and found.duplicates == 3


def test_one_file_has_many_spellings(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder / "captions.csv").write_text("file,caption\n")
    (folder.parent / "link").symlink_to(folder)
    (folder / "b.jpg").symlink_to("a.jpg")
    (folder.parent / "list.txt").write_text("photos/a\0b/a.jpg\nphotos/b.jpg\n")
    places = ["photos/a.jpg", "./photos/a.jpg", "photos/1/../a.jpg", "link/a.jpg", "list.txt"]
    found = find_images(*places, "photos", str(folder), f"{folder}/1/../1/*")
    assert found.uris[:3] == ("photos/a.jpg", "photos/a\0b/a.jpg", "photos/b.jpg")
    assert len(found.uris) == 3 + 5 and found.duplicates == 3 + 2 + 7 + 1
    assert found.references == ("photos/captions.csv",)


def test_what_tells_of_images_is_no_image(folder):
    (folder / "captions.csv").write_text("file,caption\n")
    (folder / "1" / "metadata.jsonl").write_text("")
    found = find_images(str(folder))
    assert found.references == (str(folder / "captions.csv"),)
    assert found.others == (str(folder / "1" / "metadata.jsonl"),)  # its folder was not given


def test_what_is_no_image_is_passed_over_in_folders_only(folder):
    others = ("Thumbs.db", "deep.d/MOVIE.MP4", "notes.txt")
    for name in ("x.dat", "x.jpeg", *others):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("no image")
    found = find_images(str(folder))
    assert found.others == tuple(str(folder / name) for name in others)
    assert {"x.dat", "x.jpeg", "notes"} <= {Path(uri).name for uri in found.uris}
    assert len(found.uris) == 8
    (folder.parent / "list.txt").write_text("photos/notes.txt")
    named = find_images(str(folder.parent / "list.txt"), f"{folder}/*.db", str(folder))
    assert named.uris[:2] == (str(folder / "notes.txt"), str(folder / "Thumbs.db"))
    assert named.others == (str(folder / "deep.d/MOVIE.MP4"),)


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0", b"II*\0", b"RIFF\0\0\0\0WEBPVP8 "])
def test_an_image_by_another_name_is_not_passed_over(folder, content):
    (folder / "photo.txt").write_bytes(content)
    os.mkfifo(folder / "pipe.txt")
    (folder / "x.tfrecord.gz").write_bytes(b"records")
    found = find_images(str(folder))
    assert {"photo.txt", "pipe.txt", "x.tfrecord.gz"} <= {Path(uri).name for uri in found.uris}
    assert not found.others


def test_a_folder_of_other_files_holds_no_image(folder):
    (folder / "0" / "notes").mkdir()
    for name in ("a.txt", "B.TXT", "c.pdf"):
        (folder / "0" / "notes" / name).write_text("no image")
    with pytest.raises(
        BeamfleetError, match=r"no images at .*: 3 other files passed over \(\.pdf, "
    ):
        find_images(str(folder / "0" / "notes"))


@pytest.mark.parametrize("place", ["nowhere", "nowhere/*.png", "*.png", "", "empty", "empty.txt"])
def test_nothing_there_is_an_error(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(BeamfleetError, match=r"no images at|name a folder"):
        find_images(*([place] if place else []))


def test_links_are_followed_within_the_folder_only(folder):
    (folder.parent / "private.jpg").write_text("x")
    (folder.parent / "more").mkdir()
    (folder / "in.jpg").symlink_to("1/01.png")
    (folder / "out.jpg").symlink_to("../private.jpg")
    (folder / "round.jpg").symlink_to("round.jpg")
    (folder / "broken.jpg").symlink_to("nothing")
    (folder / "lost.jpg").symlink_to("/nonexistent")
    (folder / "long.jpg").symlink_to("x" * 300)
    (folder / "up").symlink_to(".")
    (folder / "more").symlink_to(folder.parent / "more")
    found = find_images(str(folder))
    tried = {"in.jpg", "round.jpg", "broken.jpg", "long.jpg"}
    assert tried <= {Path(uri).name for uri in found.uris}
    outside = f"is a link out of the folder, to {(folder.parent / 'private.jpg').resolve()}"
    assert dict(found.refused) == {
        str(folder / "more"): "is a link to a folder, which is not followed",
        str(folder / "out.jpg"): outside,
        str(folder / "up"): "is a link to a folder, which is not followed",
        str(folder / "lost.jpg"): "is a link to a file that does not exist",
    }
    assert find_images(f"{folder}/o*").refused == ((str(folder / "out.jpg"), outside),)
    assert dict(find_images(f"{folder}/**/*.jpg").refused).keys() == dict(found.refused).keys()
    named = find_images(str(folder / "out.jpg"))
    assert [fetch(uri) for uri in named.uris] == [b"x"]  # whoever names it by itself means it


def test_a_name_that_is_not_utf8_is_refused(folder):
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jpg")).write_text("x")
    found = find_images(str(folder))
    assert len(found.uris) == 6
    assert found.refused == ((f"{folder}/\\udcff.jpg", "its name is not UTF-8; rename it"),)


@pytest.fixture
def deep_folder(folder):
    home = Path.cwd()
    os.chdir(folder)
    for _ in range(2_500):
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(home)
    yield folder
    subprocess.run(["rm", "-r", folder / "d"], check=True)  # what pytest would use is recursive


def test_a_tree_deeper_than_paths_may_be_long(deep_folder):
    for place in (deep_folder, f"{deep_folder}/**/*"):
        found = find_images(str(place))
        assert len(found.uris) == 6
        [(path, reason)] = found.refused
        assert path.endswith("/d/d") and reason == "cannot be listed: File name too long"
